/* nameset_file.h - a nameset out of a file, read anew when the file changes, without keeping the event loop waiting.
 *
 * Shape   plain or gzip; small files are read at once, larger ones by a thread, and the new set takes the old one's place
 * Errors  a file that cannot be read leaves the set that was there, and says why; one that never could be has none (NULL)
 * Bounds  MAX_NAMESET bytes, unpacked
 */
#ifndef POLICYD_NET_NAMESET_FILE_H
#define POLICYD_NET_NAMESET_FILE_H

#include "policyd/scan/nameset.h"

struct nameset_file;

struct nameset_file *nameset_file_open(const char *path);            /* NULL: no memory */
void nameset_file_close(struct nameset_file *f);
const char *nameset_file_path(const struct nameset_file *f);

/* Call it now and then: looks at the file, takes over what was read. */
void nameset_file_tick(struct nameset_file *f);
const struct nameset *nameset_file_set(const struct nameset_file *f);        /* NULL: none yet. Valid until the next tick */
const char *nameset_file_why(const struct nameset_file *f);          /* what is wrong with the file; "" when nothing is */

#endif
