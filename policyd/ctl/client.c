#include "policyd/ctl/client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/ipc.h"
#include "policyd/config.h"
#include "policyd/wire.h"

int ctl_answer_ms = 180 * 1000;

const char *ctl_config_path, *ctl_socket_path;
int ctl_json;

/* The socket by option, by environment, or by the settings. */
static bool
find_socket(const char *name, char *path, size_t room)
{
	const char *config_path = ctl_config_path ? ctl_config_path : getenv("POLICYD_CONF");
	static struct config config;
	char why[1024];

	if (ctl_socket_path) {
		snprintf(path, room, "%s", ctl_socket_path);
		return true;
	}
	if (config_path == NULL)
		config_path = "/etc/policyd/policyd.conf";
	if (!config_load(config_path, &config, why, sizeof why) && config.run[0] == '\0') {
		fprintf(stderr, "policyctl: %s\npolicyctl: give the settings by -c FILE, or the socket by -s SOCKET\n", why);
		return false;
	}
	snprintf(path, room, "%s/%s.sock", config.run, name);
	return true;
}

static int
open_socket(const char *name)
{
	char path[PATH_ROOM + 16];
	int sock;

	if (!find_socket(name, path, sizeof path))
		return -1;
	sock = ipc_connect(path);
	if (sock < 0)
		fprintf(stderr, "policyctl: %s: %s%s%s%s\n", path, strerror(errno), errno == EACCES ? "; " : "", errno == EACCES ? name : "",
		    errno == ENOENT || errno == ECONNREFUSED ? "; is policyd running?" :
		    errno == EACCES ? ".group in the settings says who may" : "");
	return sock;
}

int
ctl_open(void)
{
	return open_socket("control");
}

int
ctl_open_report(void)
{
	return open_socket("report");
}

int
ctl_send(int sock, uint32_t id, json_t *request, int fd)
{
	char *text = json_dumps(request, JSON_COMPACT);
	struct buf body = { 0 };

	pack_text(&body, text ? text : "{}");
	struct packet packet = { .type = W_REQUEST, .id = id, .body = buf_span(&body), .fds = { fd }, .fd_count = fd >= 0 };
	int result = ipc_send_wait(sock, &packet, ctl_answer_ms) == IPC_OK ? 0 : -1;

	buf_free(&body);
	free(text);
	json_decref(request);
	return result;
}

static json_t *
receive(int sock, uint32_t *id, int timeout_ms, int *fd_out)
{
	static struct inbox inbox;
	struct packet packet = { 0 };
	json_error_t bad;

	if (ipc_recv_wait(sock, &inbox, &packet, timeout_ms) != IPC_OK || packet.type != W_REPLY) {
		fprintf(stderr, "policyctl: no answer; see policyctl status, and the log\n");
		return NULL;
	}
	struct unpack u = { packet.body, false };
	struct span text = unpack_span(&u);
	json_t *reply = json_loadb(text.p ? text.p : "", text.n, 0, &bad);

	if (id)
		*id = packet.id;
	if (fd_out && packet.fd_count > 0) {
		*fd_out = packet.fds[0];
		packet.fd_count = 0;
	}
	packet_close_fds(&packet);
	if (reply == NULL)
		fprintf(stderr, "policyctl: the answer is no JSON: %s\n", bad.text);
	return reply;
}

json_t *
ctl_receive(int sock, uint32_t *id, int timeout_ms)
{
	return receive(sock, id, timeout_ms, NULL);
}

json_t *
ctl_ask(int sock, json_t *request, int fd, int *fd_out)
{
	if (ctl_send(sock, 1, request, fd) < 0) {
		fprintf(stderr, "policyctl: the connection was closed\n");
		return NULL;
	}
	return receive(sock, NULL, ctl_answer_ms, fd_out);
}

json_t *
ctl_once(json_t *request, int *fd_out)
{
	int sock = ctl_open();
	json_t *reply = NULL;

	if (sock < 0)
		json_decref(request);
	else {
		reply = ctl_ask(sock, request, -1, fd_out);
		close(sock);
	}
	return reply;
}

int
ctl_check(const json_t *reply)
{
	const char *error = json_string_value(json_object_get(reply, "error"));

	if (reply == NULL)
		return 1;
	if (error == NULL)
		return 0;
	fprintf(stderr, "policyctl: %s\n", error);
	int code = (int)json_integer_value(json_object_get(reply, "exit"));

	return code ? code : 1;
}

const char *
ctl_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

double
ctl_number(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

void
ctl_print_safe(const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		bool c1 = *p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;

		p += c1;
		putchar(c1 || *p < 0x20 || *p == 0x7f ? '?' : *p);
	}
}

void
ctl_print_json(const json_t *reply)
{
	json_dumpf(reply, stdout, JSON_INDENT(1));
	puts("");
}

const char *
ctl_when(double s, char to[CTL_WHEN])
{
	time_t t = (time_t)s;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL || strftime(to, CTL_WHEN, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(to, CTL_WHEN, "?");
	return to;
}
