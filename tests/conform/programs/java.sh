# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: java javac jcmd
# Java: the compiler, threads, channels, mapped files, locks, watching, processes, collectors, null pointers (SIGSEGV), jcmd.
cat >Main.java <<'JAVA'
import java.io.*; import java.net.*; import java.nio.*; import java.nio.channels.*; import java.nio.file.*;
import java.util.*; import java.util.concurrent.*; import java.util.stream.*;
public class Main {
  static void say(String n, Object v) { System.out.println(n + ": " + v); }
  static String field(String s) { return s.toString(); }
  public static void main(String[] args) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(8);
    List<Future<Integer>> fs = new ArrayList<>();
    for (int i = 0; i < 100; i++) { final int k = i; fs.add(pool.submit(() -> k * k)); }
    int sum = 0; for (Future<Integer> f : fs) sum += f.get();
    pool.shutdown(); say("pool", sum);
    say("parallel", IntStream.range(0, 1000000).parallel().filter(i -> i % 7 == 0).count());
    int npe = 0; for (int i = 0; i < 100000; i++) try { field(i % 2 == 0 ? null : "x"); } catch (NullPointerException e) { npe++; }
    say("null pointers", npe);
    try { deep(0); } catch (StackOverflowError e) { say("stack overflow", "caught"); }
    try (FileChannel c = FileChannel.open(Path.of("data"), StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      c.write(ByteBuffer.wrap(new byte[100000]));
      try { MappedByteBuffer m = c.map(FileChannel.MapMode.READ_WRITE, 0, 100000); m.put(5, (byte) 42); m.force();
        ByteBuffer b = ByteBuffer.allocate(1); c.read(b, 5); say("mapped", b.get(0)); } catch (IOException e) { say("mapped", e.getMessage()); }
      try (FileLock l = c.lock()) { say("lock", l.isValid()); } catch (IOException e) { say("lock", e.getMessage()); }
    }
    Process p = new ProcessBuilder("sh", "-c", "cat; exit 4").start();
    p.getOutputStream().write("through".getBytes()); p.getOutputStream().close();
    say("process", new String(p.getInputStream().readAllBytes()) + " " + p.waitFor());
    ServerSocket ss = new ServerSocket(0, 5, InetAddress.getLoopbackAddress());
    Thread t = new Thread(() -> { try (Socket s = ss.accept()) { s.getOutputStream().write("hi".getBytes()); } catch (IOException e) { } });
    t.start();
    try (Socket s = new Socket(InetAddress.getLoopbackAddress(), ss.getLocalPort())) { say("socket", new String(s.getInputStream().readAllBytes())); }
    t.join();
    try (WatchService w = FileSystems.getDefault().newWatchService()) {
      Files.createDirectory(Path.of("watched"));
      Path.of("watched").register(w, StandardWatchEventKinds.ENTRY_CREATE);
      Files.createFile(Path.of("watched/new"));
      WatchKey k = w.poll(5, TimeUnit.SECONDS);
      say("watch", k == null ? "nothing" : k.pollEvents().get(0).context());
    } catch (IOException e) { say("watch", e.getMessage()); }
    try (Selector sel = Selector.open(); java.nio.channels.Pipe.SourceChannel sc = Pipe.open().source()) {
      sc.configureBlocking(false); sc.register(sel, SelectionKey.OP_READ); say("selector", sel.select(10)); }
    try (Stream<Path> s = Files.walk(Path.of("/usr/share/doc/coreutils"))) { say("walk", s.count() > 1); }
    say("handle", ProcessHandle.current().info().command().map(c -> c.endsWith("java")).orElse(false));
    Process self = new ProcessBuilder("jcmd", "" + ProcessHandle.current().pid(), "VM.version").start();
    String out = new String(self.getInputStream().readAllBytes()) + new String(self.getErrorStream().readAllBytes());
    say("jcmd", self.waitFor() + " " + (out.contains("VM version") ? "answers" : out.replace('\n', ' ')));
    Runtime.getRuntime().addShutdownHook(new Thread(() -> say("hook", "ran")));
    long pid = ProcessHandle.current().pid();
    new ProcessBuilder("kill", "-TERM", "" + pid).start();
    Thread.sleep(10000);
  }
  static int deep(int n) { return deep(n + 1) + 1; }
}
JAVA
javac Main.java
echo "compiler status: $?"
for collector in Serial Parallel G1 Z Shenandoah; do
	rm -rf watched
	timeout 60 java -Xmx200m -XX:+Use${collector}GC Main >out 2>err
	echo "$collector status: $?"
	sed "s/^/$collector /" out
done
rm -rf watched
timeout 30 java -Xint Main >out 2>&1
echo "interpreter status: $?"
java -version 2>&1 | sed -n '1s/.*"\(.*\)".*/version: \1/p'
jar cf m.jar Main.class && jar tf m.jar | sed -n 's/^\(Main.*\)/jar: \1/p'
