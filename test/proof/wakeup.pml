/*
 * Workers that wait for events, who commits these, and who wakes whom.
 *
 * src/wakeup/waiting.c has the list of those who wait, under a lock: each atomic sequence
 * on it is what is done while that is held. src/api/wait.c looks, registers, looks again
 * and sleeps. The first event can be claimed when it is committed, the second, in another
 * queue and of a higher priority, after a while, which the worker that keeps the clock
 * waits for. The first worker may be woken for the second event, since a queue's hash says
 * so, and does not serve it.
 *
 * Nobody looks again without being woken, unless POLL says so: nothing is lost that
 * every five seconds would make good. Who has claimed may be at work for ever, so that
 * nobody else's look does it, either.
 */
#ifndef WORKERS
#define WORKERS		2
#endif
#define EVENTS		2
#ifndef ROLLBACKS
#define ROLLBACKS	1
#endif

/* of an event */
#define ABSENT		0
#define DELAYED		1
#define OFFERED		2
#define LOCKED		3			/* by a claim that has not ended */
#define CLAIMED		4

/* when the keeper of the clock looks at it */
#define NOW			0
#define WHEN_OVER	1
#define NEVER		2

#define NOBODY		9
#define LAST		99

byte	state[EVENTS];

byte	number[WORKERS];		/* 0: does not wait */
byte	last_number = 0;
bit		woken[WORKERS];
byte	offer[WORKERS];
byte	below[WORKERS];
bit		latch[WORKERS];
byte	due = NEVER;			/* the keeper's: who leaves gives it to the next */
bit		told = 0;
bit		offered[EVENTS];		/* not again by the clock */

bit		asleep[WORKERS];
byte	rollbacks = ROLLBACKS;

#define serves(w, e)	(w != 0 || e == 0)
#define sees(w, e)		(serves(w, e) && state[e] == OFFERED)
#define finds(w)		(sees(w, 0) || sees(w, 1))
#define is_before(a, b)	(number[a] != 0 && number[a] < number[b])
#define is_keeper(w)	(number[w] != 0 && !is_before((w + 1) % WORKERS, w) && !is_before((w + WORKERS - 1) % WORKERS, w))
#define is_clock_due	(due == NOW || (due == WHEN_OVER && state[1] != DELAYED))

/* no worker sleeps, not woken, while there is something for it */
#define lost(w)			(asleep[w] && !woken[w] && !latch[w] && finds(w))
#define any_lost		(lost(0) || lost(1) || lost(WORKERS - 1))

/* The last one that has come before "limit" */
inline wake_one(e, limit)
{
	atomic {
		chosen = NOBODY;
		i = 0;
		do
		:: i < WORKERS ->
			if
#ifdef COUNT_WOKEN
			:: number[i] != 0 && number[i] < limit &&
#else
			:: number[i] != 0 && !woken[i] && number[i] < limit &&
#endif
				(chosen == NOBODY || number[i] > number[chosen]) -> chosen = i
			:: else
			fi;
			i++
		:: else -> break
		od;
		if
		:: chosen != NOBODY && !woken[chosen] ->
			woken[chosen] = 1;
			offer[chosen] = e;
			below[chosen] = number[chosen]
		:: else
		fi;
		i = 0;
		chosen = 0
	}
}

proctype Worker(byte me)
{
	byte	i = 0;
	byte	chosen = 0;
	byte	mine = 0;
	byte	limit = 0;
	bit		found = 0;
	bit		taken = 0;
	bit		due_later = 0;
	bit		first = 0;			/* the second event comes first */

begin:
	if
	:: finds(me) -> goto claim
	:: else
	fi;
#ifdef LOOK_FIRST
	found = finds(me);
#endif
	atomic {
		last_number++;
		if
		:: !is_keeper(0) && !is_keeper(1) && !is_keeper(WORKERS - 1) ->
			due = NOW; told = 0;
			offered[0] = (state[0] > DELAYED);
			offered[1] = (state[1] > DELAYED)
		:: else
		fi;
		number[me] = last_number
	};
#ifdef LOOK_FIRST
	goto looked;
#endif

look:
	/* what comes after this is not seen, so it has to wake */
	atomic { found = finds(me); first = sees(me, 1) };
#ifdef TAKE_AFTER_LOOK
	atomic {
		if
		:: woken[me] -> taken = 1; mine = offer[me]; limit = below[me]; woken[me] = 0
		:: else
		fi
	};
#endif
looked:
	if
	:: taken ->
		taken = 0;
		if
		/* it is not for this one, who serves one queue, or will leave it for the other */
		:: state[mine] == OFFERED && (!serves(me, mine) || (me != 0 && found && mine == 0 && first)) ->
#ifndef NO_HAND_ON
			wake_one(mine, limit)
#else
			skip
#endif
		:: state[mine] == OFFERED && serves(me, mine) -> found = 1
		:: else
		fi;
		mine = 0; limit = 0; first = 0
	:: else -> first = 0
	fi;
	if
	:: atomic { found -> found = 0; goto leave }
	:: else
	fi;

sleep:
	if
	:: atomic { is_keeper(me) && is_clock_due ->
		/* what is told from now on is not lost, whether or not it is seen */
		told = 0 };
		atomic {
			due_later = (state[1] == DELAYED);
			found = (state[0] == OFFERED && !offered[0]);
			first = (state[1] == OFFERED && !offered[1]);
			offered[0] = offered[0] || state[0] > DELAYED;
			offered[1] = offered[1] || state[1] > DELAYED
		};
		if
		:: atomic { first -> first = 0; wake_one(1, LAST) }
		:: else
		fi;
		if
		:: atomic { found -> found = 0; wake_one(0, LAST) }
		:: else
		fi;
		atomic {
			if
			:: due_later || told -> due = WHEN_OVER
			:: else -> due = NEVER
			fi;
			due_later = 0;
			asleep[me] = 1
		}
	:: atomic { else -> asleep[me] = 1 }
	fi;
end_asleep:
	if
	:: atomic { woken[me] || latch[me] || (is_keeper(me) && is_clock_due) -> latch[me] = 0; asleep[me] = 0 }
#ifdef POLL
	:: atomic { true -> asleep[me] = 0; goto look }
#endif
	fi;
	if
#ifndef TAKE_AFTER_LOOK
	:: atomic { woken[me] -> taken = 1; mine = offer[me]; limit = below[me]; woken[me] = 0; found = 0; goto look }
#else
	:: woken[me] -> found = 0; goto look
#endif
	:: else -> goto sleep
	fi;

leave:
	/* what it was woken for meanwhile it has not looked at */
	atomic {
		taken = woken[me]; mine = offer[me]; limit = below[me];
		woken[me] = 0; offer[me] = 0; below[me] = 0; latch[me] = 0;
		if
		:: is_keeper(me) ->
			number[me] = 0;
			if
			:: is_keeper(0) -> latch[0] = 1
			:: is_keeper(1) -> latch[1] = 1
			:: is_keeper(WORKERS - 1) -> latch[WORKERS - 1] = 1
			:: else -> due = NEVER; offered[0] = 0; offered[1] = 0
			fi
		:: else -> number[me] = 0
		fi
	};
	if
#ifndef FORGET_WOKEN
	:: atomic { taken -> wake_one(mine, limit); taken = 0; mine = 0; limit = 0 }
	:: atomic { else -> mine = 0; limit = 0 }
#else
	:: atomic { taken = 0; mine = 0; limit = 0 }
#endif
	fi;

claim:
	if
	:: atomic { sees(me, 0) && !sees(me, 1) -> mine = 0; state[0] = LOCKED }
	:: atomic { sees(me, 1) -> mine = 1; state[1] = LOCKED }
	:: !finds(me) -> goto begin
	fi;
	if
	:: atomic { state[mine] = CLAIMED; mine = 0; goto at_work }
	:: atomic { rollbacks > 0 -> rollbacks--; state[mine] = OFFERED };
#ifndef NO_OFFER_AT_ABORT
		atomic { wake_one(mine, LAST); mine = 0 };
#endif
		mine = 0
	fi;
at_work:
	/* for a while, or for ever */
	if
	:: goto begin
	:: true
	fi;
end_at_work:
	false
}

/* Commits an event, and then tells those who wait */
proctype Committer()
{
	byte	i = 0;
	byte	chosen = 0;

#ifdef WAKE_BEFORE_COMMIT
	wake_one(0, LAST);
	state[0] = OFFERED;
#else
	state[0] = OFFERED;
#ifndef PREPARED
	wake_one(0, LAST);
#endif
#endif
}

/* One that is delayed, or claimed under a lease that will end */
proctype Delayer()
{
	state[1] = DELAYED;
#ifndef NO_EXPECT
	atomic {
		told = 1;
		if
		:: due == NEVER -> due = WHEN_OVER
		:: else
		fi;
		if
		:: is_keeper(0) -> latch[0] = 1
		:: is_keeper(1) -> latch[1] = 1
		:: is_keeper(WORKERS - 1) -> latch[WORKERS - 1] = 1
		:: else -> told = 0; due = NEVER
		fi
	};
#endif
	state[1] = OFFERED
}

/* When nothing moves any more */
proctype Monitor()
{
end_quiet:
	atomic { timeout -> assert(!any_lost) }
}

init
{
	atomic {
		run Worker(0);
		run Worker(1);
#if WORKERS > 2
		run Worker(2);
#endif
		run Committer();
		run Delayer();
		run Monitor()
	}
}

ltl awake { [] <> !any_lost }
