#include "policyd/base/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/limits.h"

#define IPC_IN_MEMFD ((uint64_t)1 << 63)

struct head {
	uint32_t type, id;
	uint64_t length;
};

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(int) * (IPC_MAX_FDS + 1))];
};

static enum ipc_result
failed(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? IPC_AGAIN : IPC_CLOSED;
}

enum ipc_result
ipc_send(int sock, const struct packet *packet)
{
	struct head head = { packet->type, packet->id, packet->body.n };
	struct iovec iov[2] = { { &head, sizeof head }, { (void *)packet->body.p, packet->body.n } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = packet->body.n ? 2 : 1 };
	union control control = { 0 };
	int fds[IPC_MAX_FDS + 1], fd_count = packet->fd_count, memfd = -1;

	for (int i = 0; i < fd_count; i++)
		fds[i] = packet->fds[i];
	if (packet->body.n > MAX_PACKET) {
		memfd = memfd_sealed("policyd-packet", packet->body);
		if (memfd < 0)
			return IPC_CLOSED;
		fds[fd_count++] = memfd;
		head.length |= IPC_IN_MEMFD;
		msg.msg_iovlen = 1;
	}
	if (fd_count > 0) {
		msg.msg_control = control.room;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)fd_count);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)fd_count);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)fd_count);
	}
	ssize_t n;

	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	enum ipc_result result = n < 0 ? failed() : IPC_OK;

	if (memfd >= 0)
		close(memfd);
	return result;
}

enum ipc_result
ipc_send_wait(int sock, const struct packet *packet, int timeout_ms)
{
	int64_t deadline = clock_ms() + timeout_ms;
	enum ipc_result result;

	while ((result = ipc_send(sock, packet)) == IPC_AGAIN) {
		struct pollfd p = { .fd = sock, .events = POLLOUT };

		if (clock_left_ms(deadline) == 0 || poll(&p, 1, clock_left_ms(deadline)) == 0)
			break;
	}
	return result;
}

static void
take_fds(struct msghdr *msg, struct packet *packet, int *extra)
{
	*extra = -1;
	packet->fd_count = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
			if (packet->fd_count < IPC_MAX_FDS)
				packet->fds[packet->fd_count++] = fd;
			else if (*extra < 0)
				*extra = fd;
			else
				close(fd);
		}
	}
}

static void
inbox_clear(struct inbox *inbox)
{
	if (inbox->mapped)
		munmap(inbox->mapped, inbox->mapped_size);
	inbox->mapped = NULL;
}

enum ipc_result
ipc_recv(int sock, struct inbox *inbox, struct packet *packet)
{
	struct head head;
	union control control;
	int extra;

	inbox_clear(inbox);
	packet->fd_count = 0;
	if (inbox->inline_body == NULL && (inbox->inline_body = malloc(MAX_PACKET)) == NULL)
		return IPC_AGAIN;
	struct iovec iov[2] = { { &head, sizeof head }, { inbox->inline_body, MAX_PACKET } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2, .msg_control = control.room,
	    .msg_controllen = sizeof control.room };
	ssize_t n;

	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return failed();
	if (n == 0)
		return IPC_CLOSED;
	take_fds(&msg, packet, &extra);
	bool in_memfd = (head.length & IPC_IN_MEMFD) != 0;
	size_t length = (size_t)(head.length & ~IPC_IN_MEMFD), inlined = (size_t)n - sizeof head;

	if ((size_t)n < sizeof head || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || (!in_memfd && length != inlined))
		goto nonsense;
	packet->type = head.type;
	packet->id = head.id;
	packet->body = span_make(inbox->inline_body, length);
	if (!in_memfd) {
		if (extra >= 0)
			goto nonsense;
		return IPC_OK;
	}
	int memfd = extra >= 0 ? extra : packet->fd_count > 0 ? packet->fds[--packet->fd_count] : -1;

	extra = memfd;
	if (memfd < 0 || length > MAX_PACKET_MEMFD)
		goto nonsense;
	struct span mapped = map_fd(memfd);

	close(memfd);
	extra = -1;
	if (mapped.p == NULL || mapped.n != length) {
		unmap(mapped);
		goto nonsense;
	}
	inbox->mapped = (void *)mapped.p;
	inbox->mapped_size = mapped.n;
	packet->body = mapped;
	return IPC_OK;
nonsense:
	if (extra >= 0)
		close(extra);
	packet_close_fds(packet);
	return IPC_CLOSED;
}

enum ipc_result
ipc_recv_wait(int sock, struct inbox *inbox, struct packet *packet, int timeout_ms)
{
	int64_t deadline = clock_ms() + timeout_ms;

	for (;;) {
		struct pollfd p = { .fd = sock, .events = POLLIN };
		int n = poll(&p, 1, clock_left_ms(deadline));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return IPC_AGAIN;
		enum ipc_result result = ipc_recv(sock, inbox, packet);

		if (result != IPC_AGAIN)
			return result;
	}
}

void
inbox_free(struct inbox *inbox)
{
	inbox_clear(inbox);
	free(inbox->inline_body);
	inbox->inline_body = NULL;
}

void
packet_close_fds(struct packet *packet)
{
	for (int i = 0; i < packet->fd_count; i++)
		close(packet->fds[i]);
	packet->fd_count = 0;
}

static bool
unix_address(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof address->sun_path) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(address->sun_path, path, strlen(path) + 1);
	return true;
}

int
ipc_listen(const char *path, int mode)
{
	struct sockaddr_un address;

	if (!unix_address(path, &address))
		return -1;
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (sock < 0)
		return -1;
	unlink(path);
	mode_t before = umask(0177);
	int bound = bind(sock, (struct sockaddr *)&address, sizeof address);

	umask(before);
	if (bound < 0 || chmod(path, (mode_t)mode) < 0 || listen(sock, 1024) < 0) {
		int saved = errno;

		close(sock);
		errno = saved;
		return -1;
	}
	return sock;
}

int
ipc_connect(const char *path)
{
	struct sockaddr_un address;

	if (!unix_address(path, &address))
		return -1;
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (sock < 0)
		return -1;
	if (connect(sock, (struct sockaddr *)&address, sizeof address) < 0) {
		int saved = errno;

		close(sock);
		errno = saved;
		return -1;
	}
	return sock;
}

int
ipc_pair(int pair[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

int
memfd_sealed(const char *name, struct span bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	for (size_t done = 0; done < bytes.n;) {
		ssize_t n = write(fd, bytes.p + done, bytes.n - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			goto fail;
		done += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		goto fail;
	return fd;
fail:;
	int saved = errno;

	close(fd);
	errno = saved;
	return -1;
}

struct span
map_fd(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_size < 0)
		return (struct span){ NULL, 0 };
	if (st.st_size == 0)
		return SPAN("");
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

	return p == MAP_FAILED ? (struct span){ NULL, 0 } : span_make(p, (size_t)st.st_size);
}

void
unmap(struct span mapped)
{
	if (mapped.p && mapped.n)
		munmap((void *)mapped.p, mapped.n);
}

bool
read_fd(int fd, struct buf *out)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	if (st.st_size < 0 || !buf_reserve(out, (size_t)st.st_size + 1)) {
		errno = ENOMEM;
		return false;
	}
	for (off_t at = 0; at < st.st_size;) {
		ssize_t n = pread(fd, out->p + out->n, (size_t)(st.st_size - at), at);

		if (n <= 0 && !(n < 0 && errno == EINTR)) {
			errno = n < 0 ? errno : EIO;
			return false;
		}
		out->n += n > 0 ? (size_t)n : 0;
		at += n > 0 ? n : 0;
	}
	return true;
}

void
pack_u8(struct buf *b, uint8_t v)
{
	buf_add(b, &v, sizeof v);
}

void
pack_u32(struct buf *b, uint32_t v)
{
	buf_add(b, &v, sizeof v);
}

void
pack_u64(struct buf *b, uint64_t v)
{
	buf_add(b, &v, sizeof v);
}

void
pack_f64(struct buf *b, double v)
{
	buf_add(b, &v, sizeof v);
}

void
pack_span(struct buf *b, struct span s)
{
	pack_u32(b, (uint32_t)s.n);
	buf_add_span(b, s);
}

void
pack_text(struct buf *b, const char *text)
{
	pack_span(b, span_of(text));
}

static struct span
take(struct unpack *u, size_t n)
{
	if (u->bad || u->left.n < n) {
		u->bad = true;
		return (struct span){ NULL, 0 };
	}
	struct span s = span_head(u->left, n);

	u->left = span_from(u->left, n);
	return s;
}

#define UNPACK_FUNCTION(name, type)                   \
	type name(struct unpack *u)                   \
	{                                             \
		type v = 0;                           \
		struct span s = take(u, sizeof v);    \
		if (s.p)                              \
			memcpy(&v, s.p, sizeof v);    \
		return v;                             \
	}

UNPACK_FUNCTION(unpack_u8, uint8_t)
UNPACK_FUNCTION(unpack_u32, uint32_t)
UNPACK_FUNCTION(unpack_u64, uint64_t)
UNPACK_FUNCTION(unpack_f64, double)

struct span
unpack_span(struct unpack *u)
{
	return take(u, unpack_u32(u));
}

void
unpack_text(struct unpack *u, char *to, size_t room)
{
	struct span s = span_head(unpack_span(u), room - 1);

	if (s.n)
		memcpy(to, s.p, s.n);
	to[s.n] = '\0';
}
