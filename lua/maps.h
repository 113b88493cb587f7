/* maps.h - named lists that rules look things up in: domains, addresses, networks.
 *
 * Shape   a text of lines: an entry, blanks, what is known of it (shown as evidence); # begins a comment. `map { ... }` of a rule file
 *         names it, with its lines inline (values), in a file beside the rule file, or fetched (policyctl rules fetch-maps)
 * Types   domains    "shop.example": that domain and all below it
 *         addresses  "ann@shop.example", "@shop.example", or a domain as above
 *         cidr       "192.0.2.0/24", "2001:db8::/32", an address
 *         exact      any text, any case
 *         (lists of patterns are rules: `map { type = "regex" }` becomes one pattern, see prelude.lua)
 * Files   looked at by the zygote every few seconds; a changed one is read anew with all rules (maps_stamp)
 * Bounds  MAX_MAPS maps, MAX_MAP_BYTES a file
 * Errors  map_read: false and "file:line: what is expected"
 */
#ifndef LUA_MAPS_H
#define LUA_MAPS_H

#include "policyd/scan/session.h"

enum { MAX_MAPS = 500, MAX_MAP_BYTES = 64 * 1024 * 1024 };

#define MAP_TYPE_LIST(X) X(MAP_DOMAINS, "domains") X(MAP_ADDRESSES, "addresses") X(MAP_CIDR, "cidr") X(MAP_EXACT, "exact")
#define MAP_TYPE_ENUM(id, name) id,
enum map_type { MAP_TYPE_LIST(MAP_TYPE_ENUM) MAP_TYPE__COUNT };
#undef MAP_TYPE_ENUM
extern const char *const map_type_names[MAP_TYPE__COUNT];

struct named_map;

/* From lines; `where` is the file, for complaints. NULL and why. */
struct named_map *named_map_read(const char *where, enum map_type type, struct span lines, char *why, size_t room);
struct named_map *named_map_load(const char *path, enum map_type type, char *why, size_t room);
void named_map_free(struct named_map *m);
size_t named_map_count(const struct named_map *m);

/* Is it there? `entry` is the line that says so, "shop.example known spammer"; borrowed. */
bool named_map_has(const struct named_map *m, struct span value, struct span *entry);

#endif
