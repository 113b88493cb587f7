/* worker.h - one caged process: one job at a time on one socket, and nothing else. */
#ifndef POLICYD_WORKER_WORKER_H
#define POLICYD_WORKER_WORKER_H

#include "policyd/scan/scan.h"

/* Serve W_JOB packets until the socket closes, MAX_WORKER_MAILS are done, or a mail makes it retire.
 * Never returns. */
_Noreturn void worker_run(int sock, const struct kit *kit);

#endif
