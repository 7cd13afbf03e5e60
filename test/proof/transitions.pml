/*
 * What a call does to a step's event: from which row it may, and what it makes of it.
 *
 * protocol.pml proves things of these, and trace.py accepts by them what a server has
 * done. So a line is either "#define may_CALL(e) (...)" or "inline CALL(e, ...) { ... }",
 * of integers: spin and acceptor.py both read it. docs/guide.md shows the same as a diagram.
 *
 * A step without a row has an id of 0 and nothing else. A receipt is who gave it, and a
 * digest of what was written; 0 is none. What leaves out a part of a rule by a -D is
 * there to be refused (run.py).
 */
#define CONTINUE	0
#define PAUSE		1
#define CANCEL		2

#define may_dispatch(e)	(e.id == 0)
inline dispatch(e, fresh) { e.id = fresh; e.worker = 0; e.leased = 0; e.saved = 0 }

#ifdef NO_LEASE
#define is_free(e)	(true)
#elif defined(NO_REDELIVERY)
#define is_free(e)	(e.worker == 0)
#else
#define is_free(e)	(e.leased == 0)
#endif
#ifdef NO_DIRECTIVE
#define goes_on(e)	(e.parked == 0)
#else
#define goes_on(e)	(e.directive == CONTINUE && e.parked == 0)
#endif
#define may_claim(e)	(e.id != 0 && goes_on(e) && is_free(e) && e.deliveries < MAX_DELIVERIES)
#ifdef NO_NEW_ID
inline claim(e, fresh, who) { e.worker = who; e.leased = 1; e.deliveries = e.deliveries + 1; e.saved = 0 }
#else
inline claim(e, fresh, who) { e.id = fresh; e.worker = who; e.leased = 1; e.deliveries = e.deliveries + 1; e.saved = 0 }
#endif

#define may_park(e)	(e.id != 0 && goes_on(e) && is_free(e) && e.deliveries >= MAX_DELIVERIES)
inline park(e) { e.parked = 1 }

#ifdef NO_FENCE
#define is_current(e, given)	(true)
#else
#define is_current(e, given)	(e.id == given && given != 0)
#endif

inline save(e, digest, left) { e.leased = (e.worker != 0); e.deliveries = left; e.parked = 0; e.saved = digest }

inline yield(e, fresh, given, digest, left) { e.yielded_by = given; e.yielded = digest; e.continuation = fresh; e.id = fresh; e.worker = 0; e.leased = 0; e.saved = 0; e.deliveries = left; e.parked = 0 }

#define may_heartbeat(e)	(e.id != 0 && e.worker != 0)
inline heartbeat(e) { e.leased = 1 }

inline release(e, fresh, left, held) { e.id = fresh; e.worker = 0; e.leased = 0; e.saved = 0; e.deliveries = left; e.parked = held }

/* a directive outlives the event */
inline complete(e) { e.id = 0; e.worker = 0; e.leased = 0; e.saved = 0; e.deliveries = 0; e.parked = 0; e.yielded_by = 0; e.yielded = 0; e.continuation = 0 }

#define may_direct(e, to)	(e.directive < to)
inline direct(e, to) { e.directive = to }

#define may_resume(e)	(e.directive != CONTINUE || e.parked != 0)
inline resume(e) { e.deliveries = e.deliveries * (1 - e.parked); e.parked = 0; e.directive = CONTINUE }

/* rewind, clear and reset_for_retry */
#define may_supersede(e)	(e.id != 0)
inline supersede(e, fresh) { e.id = fresh; e.worker = 0; e.leased = 0; e.saved = 0; e.deliveries = 0; e.parked = 0 }
