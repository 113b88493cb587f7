/* system.h - the files of the pages, read once. */
#ifndef QUARANTINE_REVIEW_SYSTEM_H
#define QUARANTINE_REVIEW_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>

bool assets_load(const char *dir, char *why, size_t room);

#endif
