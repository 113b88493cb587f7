/* relays.h - the hosts that handed a mail on, as its Received headers tell, in the one text that SpamAssassin's rules match:
 *
 *   [ ip=192.0.2.1 rdns=mail.example helo=mail.example by=mx.example ident= envfrom= intl=0 id=4F1 auth= msa=0 ] [ ... ]
 *
 * Shape   the newest first. "Trusted" are the leading ones whose address is a private one, as SpamAssassin infers it where no
 *         networks are set: who of the outside is trusted stands in policyd's settings, and its own findings say it
 * Errors  none: a header without an address is no relay
 */
#ifndef LUA_RELAYS_H
#define LUA_RELAYS_H

#include "policyd/mail/message.h"

enum relays { RELAYS_OUTSIDE, RELAYS_UNTRUSTED, RELAYS_INSIDE, RELAYS_TRUSTED, RELAYS__COUNT };
extern const char *const relays_names[RELAYS__COUNT];       /* "X-Spam-Relays-External", ... */

struct span relays_text(struct arena *a, const struct header_list *headers, enum relays which);

#endif
