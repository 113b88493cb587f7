#include "policyd/worker/cage.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAGE_NAME(id, name, what) [id] = name,
const char *const cage_names[CAGE__COUNT] = { CAGE_LIST(CAGE_NAME) };
#define CAGE_TEXT(id, name, what) [id] = what,
const char *const cage_texts[CAGE__COUNT] = { CAGE_LIST(CAGE_TEXT) };

enum { SCRATCH_MB = 512, WORKER_FILES = 64, WORKER_DATA_GB = 6 };

static bool
write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* An unprivileged process gets its namespaces by way of a user namespace in which it keeps its own id. */
static bool
unshare_all(void)
{
	int what = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC;
	char map[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (uid == 0)
		return unshare(what) == 0;
	prctl(PR_SET_DUMPABLE, 1);           /* else /proc/self/uid_map belongs to root */
	if (unshare(what | CLONE_NEWUSER) < 0)
		return false;
	snprintf(map, sizeof map, "%u %u 1", uid, uid);
	if (!write_file("/proc/self/setgroups", "deny") || !write_file("/proc/self/uid_map", map))
		return false;
	snprintf(map, sizeof map, "%u %u 1", gid, gid);
	return write_file("/proc/self/gid_map", map);
}

static bool
mount_scratch(const char *path, uid_t uid, gid_t gid)
{
	char options[96];

	snprintf(options, sizeof options, "size=%dm,mode=0700,uid=%u,gid=%u", SCRATCH_MB, uid, gid);
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) == 0;
}

/* All capabilities but these are gone for good. */
static bool
keep_capabilities(uint32_t mask)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = mask, .permitted = mask } };

	return syscall(SYS_capset, &head, data) == 0;
}

bool
cage_zygote(struct cage *cage, const struct config *config, char *why, size_t room)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();

	cage->holds = 0;
	cage->scratch_fd = -1;
	snprintf(cage->scratch, sizeof cage->scratch, "%.*s/scratch", PATH_ROOM - 10, config->state);
	if (uid == 0 && config->worker_user[0]) {
		const struct passwd *pw = getpwnam(config->worker_user);

		if (pw == NULL) {
			snprintf(why, room, "user \"%s\" for workers does not exist; set worker_user", config->worker_user);
			return false;
		}
		uid = pw->pw_uid;
		gid = pw->pw_gid;
	}
	if (mkdir(cage->scratch, 0700) < 0 && errno != EEXIST) {
		snprintf(why, room, "%s: cannot make the scratch directory: %s", cage->scratch, strerror(errno));
		return false;
	}
	if (unshare_all()) {
		cage->holds |= 1u << CAGE_NETWORK;
		if (mount_scratch(cage->scratch, uid, gid))
			cage->holds |= 1u << CAGE_MOUNTS;
	}
	if (geteuid() == 0 && uid != 0) {
		if (!(cage->holds & 1u << CAGE_MOUNTS) && chown(cage->scratch, uid, gid) < 0) {
			snprintf(why, room, "%s: cannot give it to user %s: %s", cage->scratch, config->worker_user,
			    strerror(errno));
			return false;
		}
		prctl(PR_SET_KEEPCAPS, 1);
		cage->scratch_fd = open(cage->scratch, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) {
			snprintf(why, room, "cannot become user %s: %s", config->worker_user, strerror(errno));
			return false;
		}
		/* Rules and virus database may lie where only root reads; the workers do not keep this. */
		if (!keep_capabilities(1u << CAP_DAC_READ_SEARCH))
			keep_capabilities(0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);    /* a change of user has cleared it */
	}
	if (geteuid() != 0)
		cage->holds |= 1u << CAGE_USER;
	if (cage->scratch_fd < 0)
		cage->scratch_fd = open(cage->scratch, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fchdir(cage->scratch_fd) < 0) {
		snprintf(why, room, "%s: cannot be entered: %s", cage->scratch, strerror(errno));
		return false;
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return true;
}

/* Reading and writing below the scratch, and nothing else of the file system. */
static bool
landlock(int scratch_fd)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1 };
	int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);

	if (rules < 0)
		return false;
	struct landlock_path_beneath_attr below = {
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
		    LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
		    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR,
		.parent_fd = scratch_fd,
	};
	bool done = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0) == 0 &&
	    syscall(SYS_landlock_restrict_self, rules, 0) == 0;

	close(rules);
	return done;
}

/* What nothing that parses mail needs ends the process; all else not listed is refused with EPERM. */
static bool
seccomp(void)
{
	static const int deadly[] = {
		SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen),
		SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork),
		SCMP_SYS(vfork), SCMP_SYS(ptrace), SCMP_SYS(mount), SCMP_SYS(unshare), SCMP_SYS(setns),
		SCMP_SYS(bpf), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(keyctl),
		SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(kexec_load), SCMP_SYS(io_uring_setup),
	};
	static const int needed[] = {
		SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(writev),
		SCMP_SYS(pwrite64), SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(dup), SCMP_SYS(fcntl), SCMP_SYS(fstat),
		SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(access),
		SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(creat),
		SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir),
		SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(getdents), SCMP_SYS(getdents64), SCMP_SYS(ftruncate),
		SCMP_SYS(fsync), SCMP_SYS(readlink), SCMP_SYS(getcwd), SCMP_SYS(umask), SCMP_SYS(chmod),
		SCMP_SYS(fchmod), SCMP_SYS(utime), SCMP_SYS(statfs), SCMP_SYS(fstatfs),
		SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise),
		SCMP_SYS(brk), SCMP_SYS(memfd_create), SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(sendto),
		SCMP_SYS(recvfrom), SCMP_SYS(shutdown), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select),
		SCMP_SYS(pselect6), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
		SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(times), SCMP_SYS(getrusage), SCMP_SYS(sysinfo),
		SCMP_SYS(uname), SCMP_SYS(futex), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
		SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(gettid),
		SCMP_SYS(getppid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
		SCMP_SYS(getrlimit), SCMP_SYS(prlimit64), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack), SCMP_SYS(tgkill), SCMP_SYS(restart_syscall),
		SCMP_SYS(setitimer), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(prctl),
	};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	bool done = filter != NULL;

	for (size_t i = 0; done && i < sizeof deadly / sizeof *deadly; i++)
		done = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0) == 0;
	for (size_t i = 0; done && i < sizeof needed / sizeof *needed; i++)
		done = seccomp_rule_add(filter, SCMP_ACT_ALLOW, needed[i], 0) == 0;
	done = done && seccomp_load(filter) == 0;
	if (filter)
		seccomp_release(filter);
	return done;
}

/* The arena bounds our own memory, libclamav's options bound its; RLIMIT_DATA catches what both miss
 * (a sanitizer maps terabytes, so not there). */
static bool
limits(void)
{
	struct rlimit files = { WORKER_FILES, WORKER_FILES }, core = { 0, 0 };
	bool done = setrlimit(RLIMIT_NOFILE, &files) == 0 && setrlimit(RLIMIT_CORE, &core) == 0;
#if !defined(__SANITIZE_ADDRESS__)
	struct rlimit data;

	if (getrlimit(RLIMIT_DATA, &data) == 0) {
		data.rlim_cur = (rlim_t)WORKER_DATA_GB << 30;
		done = setrlimit(RLIMIT_DATA, &data) == 0 && done;
	}
#endif
	return done;
}

void
cage_worker(struct cage *cage)
{
	keep_capabilities(0);
	prctl(PR_SET_DUMPABLE, 0);           /* nobody of the same user may look inside */
	if (limits())
		cage->holds |= 1u << CAGE_LIMITS;
	if (landlock(cage->scratch_fd))
		cage->holds |= 1u << CAGE_LANDLOCK;
	if (seccomp())
		cage->holds |= 1u << CAGE_SECCOMP;
}

void
cage_probe(struct cage *cage)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		cage_worker(cage);
		_exit((int)cage->holds);     /* CAGE__COUNT bits fit an exit code */
	}
	if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		cage->holds |= (unsigned)WEXITSTATUS(status);
}
