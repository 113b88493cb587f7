/* client.h - policyctl's end of control.sock (and report.sock): JSON questions, JSON answers.
 *
 * Errors  ctl_open prints why and answers -1; ctl_ask answers NULL and prints why. An answer {"error": ...} is printed
 *         and its exit code kept for ctl_exit
 */
#ifndef POLICYD_CTL_CLIENT_H
#define POLICYD_CTL_CLIENT_H

#include <jansson.h>
#include <stdint.h>

/* Global options, read by main.c. */
extern const char *ctl_config_path, *ctl_socket_path;
extern int ctl_json;                         /* --json before the command */

extern int ctl_answer_ms;                    /* how long to wait for an answer; 180 s */

int ctl_open(void);                          /* a fresh connection: each serves one process' commands */
int ctl_open_report(void);                   /* to report.sock: lessons of users, nothing else */
/* Takes `request`. `fd` (or -1) goes along; an answer's descriptor lands in *fd_out (NULL: none wanted). */
json_t *ctl_ask(int sock, json_t *request, int fd, int *fd_out);

/* The same in two steps, for many questions in flight: answers come in any order. */
int ctl_send(int sock, uint32_t id, json_t *request, int fd);
json_t *ctl_receive(int sock, uint32_t *id, int timeout_ms);

/* One question on a connection of its own. */
json_t *ctl_once(json_t *request, int *fd_out);

/* 0 when `reply` is good; prints its error and answers its exit code otherwise (1 for NULL). Takes nothing. */
int ctl_check(const json_t *reply);

const char *ctl_text(const json_t *object, const char *name);
/* A stranger's text (UTF-8) to standard output: nothing in it may move the terminal. */
void ctl_print_safe(const char *text);
void ctl_print_json(const json_t *reply);
enum { CTL_WHEN = 32 };
/* Seconds since 1970 as "2026-11-25 17:00:00", in local time. Answers `to`. */
const char *ctl_when(double s, char to[CTL_WHEN]);
double ctl_number(const json_t *object, const char *name);

#endif
