/* ipc.h - typed packets and file descriptors between our processes.
 *
 * Shape   one SOCK_SEQPACKET packet:   u32 type | u32 id | u64 length | body
 *         body inline up to MAX_PACKET, above it in a sealed memfd that travels as the last descriptor
 *         (then length has IPC_IN_MEMFD set). Host byte order: both ends are one binary on one machine.
 * Errors  ipc_send and ipc_recv answer IPC_OK, IPC_AGAIN (would block), IPC_CLOSED (the other end is gone
 *         or sent nonsense: close the socket)
 *
 * Types and the fields of each body stand in wire.h. `id` joins an answer to its question.
 */
#ifndef POLICYD_BASE_IPC_H
#define POLICYD_BASE_IPC_H

#include "policyd/base/buf.h"
#include "policyd/base/span.h"

enum { IPC_MAX_FDS = 4 };
enum ipc_result { IPC_OK, IPC_AGAIN, IPC_CLOSED };

struct packet {
	uint32_t type, id;
	struct span body;                    /* of a received packet: valid until the next ipc_recv on that inbox */
	int fds[IPC_MAX_FDS];                /* received descriptors belong to the receiver (CLOEXEC) */
	int fd_count;
};

/* Where packets are received: owns the body of the present one. Start zeroed. */
struct inbox {
	char *inline_body;                   /* MAX_PACKET bytes, on the first use */
	void *mapped;
	size_t mapped_size;
};

enum ipc_result ipc_send(int sock, const struct packet *packet);
/* The same, waiting for room in a socket that is full. */
enum ipc_result ipc_send_wait(int sock, const struct packet *packet, int timeout_ms);
enum ipc_result ipc_recv(int sock, struct inbox *inbox, struct packet *packet);
void inbox_free(struct inbox *inbox);
void packet_close_fds(struct packet *packet);

/* Blocking question and answer with a deadline, for tools and simple clients: IPC_AGAIN when it passes. */
enum ipc_result ipc_recv_wait(int sock, struct inbox *inbox, struct packet *packet, int timeout_ms);

/* Unix sockets. Listening ones replace a stale path. All CLOEXEC; -1 with errno. */
int ipc_listen(const char *path, int mode);                 /* SOCK_SEQPACKET */
int ipc_connect(const char *path);                          /* blocking socket */
int ipc_pair(int pair[2]);

/* Bytes into a memfd that nobody can change any more; -1 with errno. */
int memfd_sealed(const char *name, struct span bytes);
/* Map all of a descriptor for reading; SPAN with p == NULL when it cannot be (n is 0 for an empty file). */
struct span map_fd(int fd);
void unmap(struct span mapped);
/* Append all of a descriptor by read(): for who keeps strangers' bytes, but must not have them mapped. False with errno. */
bool read_fd(int fd, struct buf *out);

/* Writing a body: append fields in order. Reading: the same order; after a field that is not there
 * `bad` is set and all further ones are zero, so ask once at the end. */
struct unpack {
	struct span left;
	bool bad;
};

void pack_u8(struct buf *b, uint8_t v);
void pack_u32(struct buf *b, uint32_t v);
void pack_u64(struct buf *b, uint64_t v);
void pack_f64(struct buf *b, double v);
void pack_span(struct buf *b, struct span s);               /* u32 length | bytes */
void pack_text(struct buf *b, const char *text);            /* NULL is written as empty */

uint8_t unpack_u8(struct unpack *u);
uint32_t unpack_u32(struct unpack *u);
uint64_t unpack_u64(struct unpack *u);
double unpack_f64(struct unpack *u);
struct span unpack_span(struct unpack *u);                  /* borrowed from the packet */
void unpack_text(struct unpack *u, char *to, size_t room);  /* cut to room - 1 bytes and NUL-terminated */

#endif
