/* variants.h - recipients who get other bytes than those who stay in the transaction: their token addresses, and the
 * deliver process, which proves the way through the MTA's queue and asks for the bytes of a variant.
 *
 * Errors  no probe has come back for ROUTE_STALE_MS, or deliver is away: the way is down, variants are folded
 */
#ifndef POLICYD_BROKER_VARIANTS_H
#define POLICYD_BROKER_VARIANTS_H

#include "policyd/broker/transaction.h"

enum { ROUTE_STALE_MS = 5 * 60 * 1000 };

/* The settings have a way, and it is proved. */
bool variants_up(const struct tx *tx);
/* Does recipient `i` fit into a token address? */
bool variants_fit(const struct tx *tx, uint32_t i);
/* Appends index and address of each recipient whose address is replaced: by a token, or by his folder's address. */
uint32_t variants_pack(struct buf *out, const struct tx *tx);

/* A connection of deliver, taken over. */
void variants_peer(struct broker *b, int sock);
void variants_close(struct broker *b);
json_t *variants_status(const struct broker *b);

#endif
