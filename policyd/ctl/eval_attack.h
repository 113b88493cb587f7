/* eval_attack.h - spam that hides behind innocent text: what its sender adds, and the mail made anew with it.
 *
 * above:N   the N commonest words of ham above the text       below:N   the same below it
 * random:N  N random words of the corpus above it             prose:N   N bytes of one ham's text above it
 *
 * All text parts get it, in their own encoding; in HTML as a paragraph of its own. Ham stays as it is.
 */
#ifndef POLICYD_CTL_EVAL_ATTACK_H
#define POLICYD_CTL_EVAL_ATTACK_H

#include "policyd/ctl/eval_corpus.h"

struct attack;

/* Reads words and prose from the first mails of `order`; NULL with a message when `what` is none of the above. */
struct attack *attack_open(const char *what, const struct corpus *c, struct sample *const *order, size_t count);
struct span attack_change(void *attack, struct arena *a, struct span raw, int label);
void attack_close(struct attack *attack);

#endif
