/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers of descriptors that the program has not opened: in a view the agent has some there.
 * GUEST_WORLDS: view mount
 *
 * Every call that could change or tell something of such a file is made with every number that is free, and must
 * say EBADF.  (Those that the agent does not see, as poll, tell no more than that the number is in use.)
 */
#include "guest.h"
#include "passfd.h"
#include <linux/fs.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#define NUMBERS 1100

static char open_by_us[NUMBERS];

/* The program's own, as fd of /proc lists them; no number else may be open. */
static int free_numbers(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	int n = 0;

	REQUIRE(d);
	memset(open_by_us, 0, sizeof(open_by_us));
	while ((e = readdir(d)))
		if (atoi(e->d_name) < NUMBERS && e->d_name[0] != '.')
			open_by_us[atoi(e->d_name)] = 1;
	open_by_us[dirfd(d)] = 0;
	closedir(d);
	for (int i = 0; i < NUMBERS; i++)
		n += open_by_us[i];
	return n;
}

#define EACH_FREE(fd)	for (int fd = 0; fd < NUMBERS; fd++) if (!open_by_us[fd])

/* The first number at which a call says something else is named, not each. */
#define ALL_BAD(call) do { \
	EACH_FREE(fd) { \
		if (fd == 30) \
			continue;	/* what calls with two numbers take for the other one */ \
		errno = 0; \
		long r_ = (long)(call); \
		if (r_ != -1 || errno != EBADF) { \
			FAIL("%s for %d: %ld, %s", #call, fd, r_, strerrorname_np(errno) ?: "?"); \
			break; \
		} \
	} } while (0)

TEST(plain, "calls on one descriptor")
{
	char buf[64];
	struct stat st;
	struct statfs fs;
	struct iovec iov = { buf, sizeof(buf) };

	free_numbers();
	ALL_BAD(read(fd, buf, 1));
	ALL_BAD(write(fd, "x", 1));
	ALL_BAD(pread(fd, buf, 1, 0));
	ALL_BAD(pwrite(fd, "x", 1, 0));
	ALL_BAD(readv(fd, &iov, 1));
	ALL_BAD(writev(fd, &iov, 1));
	ALL_BAD(preadv2(fd, &iov, 1, 0, 0));
	ALL_BAD(pwritev2(fd, &iov, 1, 0, 0));
	ALL_BAD(lseek(fd, 0, SEEK_CUR));
	ALL_BAD(ftruncate(fd, 0));
	ALL_BAD(fallocate(fd, 0, 0, 1));
	ALL_BAD(fstat(fd, &st));
	ALL_BAD(fstatfs(fd, &fs));
	ALL_BAD(fchmod(fd, 0600));
	ALL_BAD(fchown(fd, -1, -1));
	ALL_BAD(futimens(fd, NULL));
	ALL_BAD(fchdir(fd));
	ALL_BAD(fsync(fd));
	ALL_BAD(fdatasync(fd));
	ALL_BAD(syncfs(fd));
	ALL_BAD(sync_file_range(fd, 0, 0, 0));
	ALL_BAD(syscall(SYS_getdents64, fd, buf, sizeof(buf)));
	ALL_BAD(syscall(SYS_readahead, fd, 0L, 1L));
	ALL_BAD(syscall(SYS_fadvise64, fd, 0L, 1L, 0));
	ALL_BAD(fgetxattr(fd, "user.a", buf, 1));
	ALL_BAD(fsetxattr(fd, "user.a", buf, 1, 0));
	ALL_BAD(flistxattr(fd, buf, 1));
	ALL_BAD(fremovexattr(fd, "user.a"));
}

TEST(descriptors, "calls about descriptors, locks, ioctl")
{
	struct flock fl = { .l_type = F_RDLCK };
	int zero = 0;

	free_numbers();
	ALL_BAD(dup(fd));
	ALL_BAD(dup2(fd, fd));
	ALL_BAD(dup2(fd, 30));
	ALL_BAD(dup3(fd, 30, O_CLOEXEC));
	ALL_BAD(fcntl(fd, F_GETFD));
	ALL_BAD(fcntl(fd, F_SETFD, FD_CLOEXEC));
	ALL_BAD(fcntl(fd, F_GETFL));
	ALL_BAD(fcntl(fd, F_DUPFD, 0));
	ALL_BAD(fcntl(fd, F_GETLK, &fl));
	ALL_BAD(fcntl(fd, F_OFD_SETLK, &fl));
	ALL_BAD(fcntl(fd, F_GET_SEALS));
	ALL_BAD(flock(fd, LOCK_SH));
	ALL_BAD(ioctl(fd, FIONREAD, &zero));
	ALL_BAD(ioctl(fd, FIOCLEX));
	ALL_BAD(ioctl(fd, FIONBIO, &zero));
	ALL_BAD(ioctl(fd, FIGETBSZ, &zero));
	ALL_BAD(isatty(fd) ? 1 : -1);
	ALL_BAD(close(fd));
}

TEST(directories, "as a directory that a path starts from")
{
	struct stat st;
	char buf[64];
	const struct { uint64_t flags, mode, resolve; } how = { O_RDONLY, 0, 0 };

	free_numbers();
	ALL_BAD(openat(fd, "x", O_RDONLY));
	ALL_BAD(syscall(SYS_openat2, fd, "x", &how, sizeof(how)));
	ALL_BAD(fstatat(fd, "x", &st, 0));
	ALL_BAD(fstatat(fd, "", &st, AT_EMPTY_PATH));
	ALL_BAD(mkdirat(fd, "x", 0700));
	ALL_BAD(unlinkat(fd, "x", 0));
	ALL_BAD(symlinkat("x", fd, "y"));
	ALL_BAD(linkat(fd, "x", AT_FDCWD, "y", 0));
	ALL_BAD(renameat(fd, "x", AT_FDCWD, "y"));
	ALL_BAD(readlinkat(fd, "x", buf, sizeof(buf)));
	ALL_BAD(faccessat(fd, "x", 0, 0));
	ALL_BAD(fchmodat(fd, "x", 0600, 0));
	ALL_BAD(fchownat(fd, "x", -1, -1, 0));
	ALL_BAD(utimensat(fd, "x", NULL, 0));
	ALL_BAD(syscall(SYS_execveat, fd, "", (char *[]){ "x", NULL }, environ, AT_EMPTY_PATH));
	ALL_BAD(syscall(SYS_execveat, fd, "x", (char *[]){ "x", NULL }, environ, 0));
}

TEST(two, "calls on two descriptors, and mappings")
{
	int file, p[2];
	struct epoll_event e = { .events = EPOLLIN };
	loff_t zero = 0;
	int set;

	put("f", "text");
	file = MUST(open("f", O_RDWR));
	MUST(pipe(p));
	set = MUST(epoll_create1(0));
	free_numbers();
	ALL_BAD(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e));
	ALL_BAD(epoll_ctl(fd, EPOLL_CTL_ADD, p[0], &e));
	ALL_BAD(sendfile(fd, file, NULL, 1));
	ALL_BAD(sendfile(p[1], fd, &zero, 1));
	ALL_BAD(splice(fd, NULL, p[1], NULL, 1, SPLICE_F_NONBLOCK));
	ALL_BAD(splice(p[0], NULL, fd, NULL, 1, SPLICE_F_NONBLOCK));
	ALL_BAD(tee(fd, p[1], 1, SPLICE_F_NONBLOCK));
	ALL_BAD(copy_file_range(fd, NULL, file, NULL, 1, 0));
	ALL_BAD(copy_file_range(file, NULL, fd, NULL, 1, 0));
	ALL_BAD((long)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0));
	ALL_BAD((long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
	ALL_BAD(ioctl(file, FICLONE, (long)fd));
	ALL_BAD(({ struct file_clone_range r = { .src_fd = fd }; ioctl(file, FICLONERANGE, &r); }));
}

static long send_many(int sock, int fd)
{
	union { struct cmsghdr h; char room[CMSG_SPACE(sizeof(int))]; } u = { .h = {
		.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { "x", 1 };
	struct mmsghdr m = { { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof(u) }, 0 };

	memcpy(CMSG_DATA(&u.h), &fd, sizeof(fd));
	return sendmmsg(sock, &m, 1, MSG_DONTWAIT);
}

TEST(given_away, "they cannot be sent through a socket, nor taken by another process")
{
	int s[2], pidfd;

	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	pidfd = MUST(syscall(SYS_pidfd_open, getpid(), 0));
	free_numbers();
	ALL_BAD(send_fd(s[0], fd, MSG_DONTWAIT));
	ALL_BAD(send_many(s[0], fd));
	ALL_BAD(syscall(SYS_pidfd_getfd, pidfd, fd, 0));
}

TEST(given_to_child, "nor does a child have them: by its pidfd, or over exec")
{
	int pidfd, status;
	pid_t pid = MUST(fork());

	if (pid == 0)
		for (;;)
			pause();
	pidfd = MUST(syscall(SYS_pidfd_open, pid, 0));
	free_numbers();
	open_by_us[pidfd] = 0;
	ALL_BAD(syscall(SYS_pidfd_getfd, pidfd, fd, 0));
	kill(pid, SIGKILL);
	OK(waitpid(pid, &status, 0));
}

TEST(sockets, "as sockets: calls that name something, or carry descriptors")
{
	struct sockaddr sa = { .sa_family = AF_UNIX };
	struct iovec iov = { "x", 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct mmsghdr mm = { m, 0 };

	free_numbers();
	ALL_BAD(bind(fd, &sa, sizeof(sa)));
	ALL_BAD(connect(fd, &sa, sizeof(sa)));
	ALL_BAD(sendto(fd, "x", 1, 0, &sa, sizeof(sa)));
	ALL_BAD(sendmsg(fd, &m, 0));
	ALL_BAD(sendmmsg(fd, &mm, 1, 0));
	ALL_BAD(recvmsg(fd, &m, MSG_DONTWAIT));
	ALL_BAD(recvmmsg(fd, &mm, 1, MSG_DONTWAIT, NULL));
	ALL_BAD(syscall(SYS_inotify_add_watch, fd, "/", 1));
}

TEST(in_proc, "/proc/self/fd/N, fdinfo and /dev/fd are not there")
{
	char name[64], buf[64];
	int n = 0;

	free_numbers();
	EACH_FREE(fd) {
		static const char *const forms[] = { "/proc/self/fd/%d", "/proc/self/fdinfo/%d", "/dev/fd/%d",
						     "/proc/thread-self/fd/%d" };

		for (int i = 0; i < 4; i++) {
			snprintf(name, sizeof(name), forms[i], fd);
			if (open(name, O_RDONLY) != -1 || errno != ENOENT || access(name, F_OK) != -1 ||
			    readlink(name, buf, sizeof(buf)) != -1) {
				FAIL("%s: %s", name, strerrorname_np(errno));
				n++;
			}
		}
		if (n)
			break;
	}
}

TEST(taken, "every free number can be taken by dup2, used and closed; or the system says why not")
{
	int file, zero = 0;

	put("f", "text");
	file = MUST(open("f", O_RDONLY));
	free_numbers();
	EACH_FREE(fd) {
		char c = 0;

		if (fd >= 900)		/* from here on the agent may have some: EBADF, as above a limit */
			break;
		if (dup2(file, fd) != fd || pread(fd, &c, 1, 0) != 1 || c != 't' || close(fd) < 0) {
			FAIL("dup2 to %d: %s", fd, strerrorname_np(errno));
			break;
		}
		zero++;
	}
	TRUE(zero > 800);
}
