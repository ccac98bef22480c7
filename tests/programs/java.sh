# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: java
# A virtual machine with many threads, its own signal handlers and memory tricks.
java -version 2>/dev/null; echo "status $?"
command -v javac >/dev/null || exit 0
cat >J.java <<'JAVA'
import java.nio.file.*; import java.util.*; import java.util.concurrent.*; import java.util.stream.*;
public class J {
	static int deep(int n) { return n == 0 ? 0 : 1 + deep(n - 1); }
	static int endless(int n) { return endless(n + 1) + 1; }
	public static void main(String[] a) throws Exception {
		ExecutorService ex = Executors.newFixedThreadPool(8); List<Future<Integer>> fs = new ArrayList<>();
		for (int i = 0; i < 100; i++) { final int n = i; fs.add(ex.submit(() -> n * n)); }
		int s = 0; for (Future<Integer> f : fs) s += f.get(); ex.shutdown(); System.out.println(s);
		Files.write(Paths.get("f"), "java".getBytes()); System.out.println(new String(Files.readAllBytes(Paths.get("f"))));
		try (Stream<Path> w = Files.walk(Paths.get("/usr/include/linux"))) { System.out.println(w.count() > 100); }
		try { String x = null; x.length(); } catch (NullPointerException e) { System.out.println("npe"); }
		try { endless(0); } catch (StackOverflowError e) { System.out.println("overflow"); }
		System.out.println(deep(1000)); Process p = new ProcessBuilder("sh", "-c", "echo child; exit 6").start();
		System.out.println(new String(p.getInputStream().readAllBytes()).trim() + p.waitFor());
		long[] junk = null; for (int i = 0; i < 200; i++) junk = new long[200000]; System.gc(); System.out.println(junk.length);
		Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("hook"))); System.exit(4);
	}
}
JAVA
javac J.java && java -Xmx256m J; echo "status $?"
