/* clock.h - time that only goes forward, for every deadline; wall time, for what people read.
 *
 * Units  milliseconds; wall time in seconds since 1970 (UTC)
 */
#ifndef POLICYD_BASE_CLOCK_H
#define POLICYD_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_ms(void);                 /* monotonic: jumps of the wall clock do not move a deadline */
int64_t clock_us(void);                 /* monotonic */
int64_t clock_cpu_us(void);             /* CPU time this process has used */
int64_t wall_s(void);
int64_t wall_ms(void);

/* Milliseconds from now to `deadline_ms` (monotonic), never below 0: fit for poll(). */
int clock_left_ms(int64_t deadline_ms);

#endif
