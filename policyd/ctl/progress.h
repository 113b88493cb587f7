/* progress.h - a bar on the terminal while work is long; nothing when standard error is none. */
#ifndef POLICYD_CTL_PROGRESS_H
#define POLICYD_CTL_PROGRESS_H

#include <stddef.h>

void progress(const char *what, size_t done, size_t all);
void progress_end(void);                     /* clears the line */

#endif
