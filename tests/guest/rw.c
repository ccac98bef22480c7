/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading, writing, seeking, sizes and holes of regular files.
 * GUEST_WORLDS: view mount cow bindcow cowmount cowbind cowcow merge
 */
#include "guest.h"
#include <sys/sendfile.h>
#include <sys/uio.h>

TEST(rw_plain, "read and write move the offset")
{
	char buf[16];
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600));

	EQ(write(fd, "hello world", 11), 11);
	EQ(lseek(fd, 0, SEEK_CUR), 11);
	EQ(read(fd, buf, sizeof(buf)), 0);
	EQ(lseek(fd, 6, SEEK_SET), 6);
	EQ(read(fd, buf, sizeof(buf)), 5);
	EQ(memcmp(buf, "world", 5), 0);
	EQ(lseek(fd, 0, SEEK_SET), 0);
	EQ(read(fd, buf, 0), 0);
	EQ(read(fd, buf, 5), 5);
	EQ(lseek(fd, 0, SEEK_CUR), 5);
	EQ(write(fd, "", 0), 0);
	EQ(file_size(fd), 11);
}

TEST(rw_positioned, "pread and pwrite leave the offset alone")
{
	char buf[16] = "";
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600));

	EQ(pwrite(fd, "abc", 3, 0), 3);
	EQ(pwrite(fd, "xyz", 3, 10), 3);
	EQ(lseek(fd, 0, SEEK_CUR), 0);
	EQ(file_size(fd), 13);
	EQ(pread(fd, buf, 16, 2), 11);
	EQ(buf[0], 'c');
	EQ(buf[1], 0);
	EQ(buf[7], 0);
	EQ(memcmp(buf + 8, "xyz", 3), 0);
	EQ(pread(fd, buf, 16, 13), 0);
	EQ(pread(fd, buf, 16, 1000000), 0);
	EQ(lseek(fd, 0, SEEK_CUR), 0);
	FAILS(pread(fd, buf, 16, -1), EINVAL);
	FAILS(pwrite(fd, buf, 16, -1), EINVAL);
}

TEST(rw_vectors, "readv, writev, preadv, pwritev, preadv2, pwritev2")
{
	char a[3], b[5], c[20];
	struct iovec w[3] = { { "one", 3 }, { "", 0 }, { "twelve", 6 } };
	struct iovec r[3] = { { a, 3 }, { b, 5 }, { c, 20 } };
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600));

	EQ(writev(fd, w, 3), 9);
	EQ(lseek(fd, 0, SEEK_SET), 0);
	EQ(readv(fd, r, 3), 9);
	EQ(memcmp(a, "one", 3), 0);
	EQ(memcmp(b, "twelv", 5), 0);
	EQ(c[0], 'e');
	EQ(pwritev(fd, w, 3, 5), 9);
	EQ(file_size(fd), 14);
	EQ(preadv(fd, r, 2, 5), 8);
	EQ(memcmp(a, "one", 3), 0);
	EQ(preadv2(fd, r, 1, 5, 0), 3);
	EQ(pwritev2(fd, w, 1, 0, 0), 3);
	EQ(lseek(fd, 0, SEEK_CUR), 9);
	EQ(preadv2(fd, r, 1, -1, 0), 3);
	EQ(lseek(fd, 0, SEEK_CUR), 12);
	EQ(readv(fd, r, 0), 0);
	FAILS(syscall(SYS_readv, fd, r, -1), EINVAL);
	FAILS(syscall(SYS_readv, fd, r, 1025), EINVAL);
	FAILS(preadv(fd, r, 1, -5), EINVAL);
	FAILS(preadv2(fd, r, 1, 0, 0x40000000), EOPNOTSUPP);
	FAILS(preadv2(fd, r, 1, INT64_MAX - 1, 0x40000000), EINVAL);	/* where comes before how */
	r[0].iov_len = (size_t)-1;
	FAILS(readv(fd, r, 3), EINVAL);
}

/* In a process of its own. */
static void set_flags(int fd, int flags)
{
	int status;
	pid_t pid = MUST(fork());

	if (!pid)
		_exit(fcntl(fd, F_SETFL, flags) ? 1 : 0);
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
}

TEST(append_shared, "O_APPEND that another process sets by F_SETFL, and takes away")
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600));

	EQ(write(fd, "0123456789", 10), 10);
	set_flags(fd, O_APPEND);
	EQ(lseek(fd, 0, SEEK_SET), 0);
	EQ(write(fd, "ab", 2), 2);
	EQ(lseek(fd, 0, SEEK_CUR), 12);
	EQ(pwrite(fd, "cd", 2, 1), 2);
	STR(get("f"), "0123456789abcd");
	EQ(lseek(fd, 0, SEEK_CUR), 12);
	OK(fcntl(fd, F_SETFL, 0));
	EQ(pwrite(fd, "XY", 2, 1), 2);
	OK(fcntl(fd, F_SETFL, O_APPEND));
	set_flags(fd, 0);
	EQ(pwrite(fd, "Z", 1, 0), 1);
	STR(get("f"), "ZXY3456789abcd");
	EQ(fcntl(fd, F_GETFL) & O_APPEND, 0);
}

TEST(rw_efault, "bad buffers: EFAULT, or as much as could be moved")
{
	char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec v = { NULL, 4 };
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600));

	REQUIRE(edge != MAP_FAILED);
	OK(munmap(edge + 4096, 4096));
	EQ(write(fd, "contents", 8), 8);
	EQ(lseek(fd, 0, SEEK_SET), 0);
	FAILS(syscall(SYS_read, fd, (void *)16, 4), EFAULT);
	FAILS(syscall(SYS_write, fd, (void *)16, 4), EFAULT);
	FAILS(syscall(SYS_pread64, fd, (void *)0xffff800000000000, 4, 0), EFAULT);
	FAILS(syscall(SYS_readv, fd, (void *)16, 1), EFAULT);
	FAILS(syscall(SYS_readv, fd, &v, 1), EFAULT);
	FAILS(syscall(SYS_read, fd, edge + 4096, 4), EFAULT);
	EQ(lseek(fd, 0, SEEK_CUR), 0);
	EQ(file_size(fd), 8);
}

TEST(rw_errors, "EBADF, EISDIR, ESPIPE, EINVAL")
{
	char c;
	int fds[2], d;

	FAILS(read(-1, &c, 1), EBADF);
	FAILS(write(700, &c, 1), EBADF);
	FAILS(lseek(700, 0, SEEK_SET), EBADF);
	FAILS(ftruncate(700, 0), EBADF);
	FAILS(fsync(700), EBADF);
	d = MUST(open(".", O_RDONLY));
	FAILS(read(d, &c, 1), EISDIR);
	FAILS(write(d, &c, 1), EBADF);
	FAILS(pread(d, &c, 1, 0), EISDIR);
	OK(pipe(fds));
	FAILS(lseek(fds[0], 0, SEEK_SET), ESPIPE);
	FAILS(pread(fds[0], &c, 1, 0), ESPIPE);
	FAILS(pwrite(fds[1], &c, 1, 0), ESPIPE);
	FAILS(fsync(fds[0]), EINVAL);
}

TEST(seek, "lseek: every whence, beyond the end, and its errors")
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600));

	EQ(write(fd, "0123456789", 10), 10);
	EQ(lseek(fd, 0, SEEK_END), 10);
	EQ(lseek(fd, -3, SEEK_END), 7);
	EQ(lseek(fd, -2, SEEK_CUR), 5);
	EQ(lseek(fd, 100, SEEK_SET), 100);
	EQ(file_size(fd), 10);
	FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
	FAILS(lseek(fd, -11, SEEK_END), EINVAL);
	FAILS(lseek(fd, 0, 99), EINVAL);
	FAILS(lseek(fd, LONG_MAX, SEEK_CUR), EINVAL);
	EQ(lseek(fd, 0, SEEK_CUR), 100);
	EQ(write(fd, "x", 1), 1);
	EQ(file_size(fd), 101);
}

TEST(seek_data, "SEEK_DATA and SEEK_HOLE")
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600));

	EQ(pwrite(fd, "data", 4, 0), 4);
	OK(ftruncate(fd, 1 << 20));
	EQ(lseek(fd, 0, SEEK_DATA), 0);
	TRUE(lseek(fd, 0, SEEK_HOLE) > 0);
	TRUE(lseek(fd, 0, SEEK_HOLE) <= 1 << 20);
	FAILS(lseek(fd, 1 << 20, SEEK_DATA), ENXIO);
	FAILS(lseek(fd, 2 << 20, SEEK_HOLE), ENXIO);
}

TEST(truncate_path, "truncate and ftruncate: shrink, grow with zeros, errors")
{
	char buf[8];
	int fd;

	put("f", "12345678");
	OK(truncate("f", 3));
	STR(get("f"), "123");
	fd = MUST(open("f", O_RDWR));
	OK(ftruncate(fd, 8));
	EQ(pread(fd, buf, 8, 0), 8);
	EQ(memcmp(buf, "123\0\0\0\0\0", 8), 0);
	OK(ftruncate(fd, 0));
	EQ(file_size(fd), 0);
	FAILS(truncate("f", -1), EINVAL);
	FAILS(ftruncate(fd, -1), EINVAL);
	FAILS(truncate("none", 0), ENOENT);
	FAILS(truncate(".", 0), EISDIR);
	OK(symlink("f", "l"));
	OK(truncate("l", 5));
	EQ(file_size(fd), 5);
}

TEST(truncate_offset, "a truncated file is read and written at the old offset")
{
	char c;
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600));

	EQ(write(fd, "abcdef", 6), 6);
	OK(ftruncate(fd, 2));
	EQ(read(fd, &c, 1), 0);
	EQ(write(fd, "g", 1), 1);
	EQ(file_size(fd), 7);
	EQ(pread(fd, &c, 1, 4), 1);
	EQ(c, 0);
}

TEST(fallocate_modes, "fallocate: plain, KEEP_SIZE, PUNCH_HOLE")
{
	char buf[4096];
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600));

	memset(buf, 'x', sizeof(buf));
	for (int i = 0; i < 4; i++)
		EQ(write(fd, buf, sizeof(buf)), (long)sizeof(buf));
	if (fallocate(fd, 0, 0, 32768) < 0 && errno == EOPNOTSUPP)
		SKIP("no fallocate here");
	EQ(file_size(fd), 32768);
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 32768, 4096));
	EQ(file_size(fd), 32768);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
	EQ(pread(fd, buf, 4096, 4096), 4096);
	EQ(buf[0], 0);
	EQ(buf[4095], 0);
	EQ(pread(fd, buf, 4096, 8192), 4096);
	EQ(buf[0], 'x');
	FAILS(fallocate(fd, 0, 0, 0), EINVAL);
	FAILS(fallocate(fd, 0, -1, 10), EINVAL);
	FAILS(fallocate(-1, 0, 0, 10), EBADF);
	FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10), EOPNOTSUPP);
	FAILS(fallocate(fd, 0x40000000, 0, 10), EOPNOTSUPP);
	FAILS(fallocate(open(".", O_RDONLY), 0, 0, 10), EBADF);
}

TEST(sparse, "a sparse file: far offsets read as zeros between")
{
	char buf[64];
	struct stat st;
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600));
	const off_t far = 3LL << 30;

	EQ(pwrite(fd, "far", 3, far), 3);
	EQ(file_size(fd), far + 3);
	EQ(pread(fd, buf, 64, far - 61), 64);
	EQ(buf[0], 0);
	EQ(memcmp(buf + 61, "far", 3), 0);
	OK(fstat(fd, &st));
	TRUE(st.st_blocks < 1000);
	FAILS(pwrite(fd, "x", 1, LONG_MAX), EINVAL);
	OK(ftruncate(fd, 0));
}

TEST(big, "a MiB written in odd pieces reads back whole")
{
	static char out[1 << 20], in[1 << 20];
	size_t done = 0, step = 1;
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600));

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 7 + i / 251);
	while (done < sizeof(out)) {
		size_t n = step < sizeof(out) - done ? step : sizeof(out) - done;

		REQUIRE(write(fd, out + done, n) == (ssize_t)n);
		done += n;
		step = step * 3 + 1;
	}
	EQ(file_size(fd), sizeof(out));
	EQ(pread(fd, in, sizeof(in), 0), (long)sizeof(in));
	EQ(memcmp(in, out, sizeof(in)), 0);
	EQ(lseek(fd, 4095, SEEK_SET), 4095);
	for (done = 4095; done < sizeof(in); ) {
		ssize_t n = read(fd, in, 33333);

		REQUIRE(n > 0);
		REQUIRE(memcmp(in, out + done, (size_t)n) == 0);
		done += (size_t)n;
	}
	EQ(read(fd, in, 1), 0);
}

TEST(two_opens, "what one descriptor writes another reads at once")
{
	char c = 0;
	int a = MUST(open("f", O_RDWR | O_CREAT, 0600)), b = MUST(open("f", O_RDONLY));

	for (int i = 0; i < 200; i++) {
		char x = (char)('a' + i % 26);

		EQ(write(a, &x, 1), 1);
		EQ(read(b, &c, 1), 1);
		EQ(c, x);
	}
	EQ(read(b, &c, 1), 0);
	OK(ftruncate(a, 50));
	EQ(file_size(b), 50);
}

TEST(sync_family, "fsync, fdatasync, syncfs, sync_file_range, posix_fadvise, readahead")
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600));

	EQ(write(fd, "x", 1), 1);
	OK(fsync(fd));
	OK(fdatasync(fd));
	OK(syncfs(fd));
	OK(sync_file_range(fd, 0, 1, SYNC_FILE_RANGE_WRITE));
	EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), 0);
	OK(readahead(fd, 0, 4096));
	EQ(posix_fadvise(fd, 0, 0, 99), EINVAL);
}

TEST(copying, "sendfile, copy_file_range and splice between files and pipes")
{
	char buf[16] = "";
	off_t off = 2;
	loff_t in = 0, out = 3;
	int p[2], a, b;

	put("a", "0123456789");
	a = MUST(open("a", O_RDONLY));
	b = MUST(open("b", O_RDWR | O_CREAT, 0600));
	EQ(sendfile(b, a, &off, 5), 5);
	EQ(off, 7);
	EQ(lseek(a, 0, SEEK_CUR), 0);
	STR(get("b"), "23456");
	EQ(sendfile(b, a, NULL, 2), 2);
	EQ(lseek(a, 0, SEEK_CUR), 2);
	STR(get("b"), "2345601");
	EQ(copy_file_range(a, &in, b, &out, 4, 0), 4);
	EQ(in, 4);
	EQ(out, 7);
	STR(get("b"), "2340123");
	OK(pipe(p));
	EQ(splice(a, NULL, p[1], NULL, 3, 0), 3);
	EQ(read(p[0], buf, 16), 3);
	EQ(memcmp(buf, "234", 3), 0);
	EQ(write(p[1], "PIPE", 4), 4);
	out = 0;
	FAILS(splice(open(".", O_RDONLY), NULL, p[1], NULL, 5, 0), EINVAL);
	EQ(splice(p[0], NULL, b, &out, 4, 0), 4);
	STR(get("b"), "PIPE123");
	EQ(sendfile(p[1], a, NULL, 100), 5);
	EQ(read(p[0], buf, 16), 5);
	EQ(memcmp(buf, "56789", 5), 0);
}

TEST(locks, "record locks: of a process, of a description, and flock")
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10 };
	int status, fd = MUST(open("f", O_RDWR | O_CREAT, 0600));
	int other = MUST(open("f", O_RDWR));
	pid_t pid;

	OK(fcntl(fd, F_SETLK, &l));
	pid = MUST(fork());
	if (pid == 0) {
		struct flock q = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 1 };

		guest_bad = 0;
		FAILS(fcntl(other, F_SETLK, &q), EAGAIN);
		OK(fcntl(other, F_GETLK, &q));
		EQ(q.l_type, F_WRLCK);
		EQ(q.l_pid, getppid());
		q = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 1 };
		OK(fcntl(other, F_SETLK, &q));
		_exit(guest_bad ? 1 : 0);
	}
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
	l.l_type = F_UNLCK;
	OK(fcntl(fd, F_SETLK, &l));
	l = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET };
	OK(fcntl(fd, F_OFD_SETLK, &l));
	FAILS(fcntl(other, F_OFD_SETLK, &l), EAGAIN);
	OK(close(fd));
	OK(fcntl(other, F_OFD_SETLK, &l));
}

TEST(interleaved, "two processes append lines; none is lost or torn")
{
	char line[9];
	int counts[2] = { 0, 0 }, status, fd;

	for (int who = 0; who < 2; who++) {
		if (fork() == 0) {
			fd = open("f", O_WRONLY | O_APPEND | O_CREAT, 0600);
			for (int i = 0; i < 300; i++)
				if (write(fd, who ? "BBBBBBB\n" : "aaaaaaa\n", 8) != 8)
					_exit(1);
			_exit(0);
		}
	}
	for (int who = 0; who < 2; who++) {
		OK(wait(&status));
		EXITED(status, 0);
	}
	fd = MUST(open("f", O_RDONLY));
	while (read(fd, line, 8) == 8) {
		if (memcmp(line, "aaaaaaa\n", 8) == 0)
			counts[0]++;
		else if (memcmp(line, "BBBBBBB\n", 8) == 0)
			counts[1]++;
		else
			FAIL("torn line %.8s", line);
	}
	EQ(counts[0], 300);
	EQ(counts[1], 300);
}

/* ---- one offset, several readers -------------------------------------------------------------------------- */

#define RECORD	12000		/* no whole number of pages */
#define RECORDS	200

static uint32_t record[RECORD / 4];

static void put_record(int fd, uint32_t k)
{
	for (size_t i = 0; i < RECORD / 4; i++)
		record[i] = k;
	EQ(pwrite(fd, record, RECORD, (off_t)k * RECORD), RECORD);
}

static void read_records(void *arg)
{
	int fd = *(int *)arg;
	ssize_t n;

	while ((n = read(fd, record, RECORD)) > 0) {
		EQ(n, RECORD);
		for (size_t i = 1; i < RECORD / 4; i++)
			REQUIRE(record[i] == record[0]);
	}
}

TEST(records, "who reads records of one open file gets whole ones, whatever of it was read before")
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600));

	for (uint32_t k = 0; k < RECORDS; k++)
		put_record(fd, k);
	for (int round = 0; round < 5; round++) {
		int failed = 0;

		EQ(lseek(fd, 0, SEEK_SET), 0);
		for (int i = 0; i < 3; i++)
			if (!fork())
				_exit(in_child(read_records, &fd) != 0);
		for (int i = 0, status; i < 3; i++)
			failed |= wait(&status) < 0 || status;
		EQ(failed, 0);
		for (uint32_t k = (uint32_t)round % 3; k < RECORDS; k += 3)
			put_record(fd, k);
	}
}
