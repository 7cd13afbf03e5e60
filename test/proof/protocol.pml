/*
 * One step, two workers, an operator, and what may happen to them.
 *
 * Each call is a transaction under READ COMMITTED: it reads what is committed, waits for
 * who has a row locked, and looks again at what it has locked; its writes are seen when
 * it commits. A backend may be killed at any point of one, a worker may die at any
 * point, a reply be lost, a lease end at any time. How often is bounded, so that all
 * there is can be searched; a dead worker's lease always ends, and what is held back is
 * resumed in the end.
 *
 * No end without all done: a step that nobody could claim any more would leave the
 * workers waiting, which spin reports as an invalid end state.
 */
#define MAX_DELIVERIES	2
#ifndef ITEMS
#define ITEMS		2
#endif
#ifndef EXPIRIES
#define EXPIRIES	1
#endif
#ifndef ACCIDENTS
#define ACCIDENTS	2
#endif
#ifndef OPERATIONS
#define OPERATIONS	2
#endif

#include "transitions.pml"

#define OPERATOR	3
#define SAVE		0
#define YIELD		1

typedef Row
{
	byte	id;
	byte	worker;
	byte	directive;
	byte	deliveries;
	byte	yielded_by;
	byte	yielded;
	byte	continuation;
	byte	saved;
	bit		leased;
	bit		parked
};

Row		ev;					/* as committed */
Row		nw;					/* as who has it locked has written it */
byte	ev_lock = 0;
byte	st_lock = 0;
bit		unchanged[3];		/* since this one has read it */

byte	st_pos = 0;			/* the cursor of the committed checkpoint */
bit		processed = 0;

byte	fresh = 0;
byte	expiries = EXPIRIES;
byte	accidents = ACCIDENTS;
byte	operations = OPERATIONS;

/* What is known only here, to be asserted on */
byte	held[4];			/* the id that a worker goes by */
byte	applied[ITEMS + 1];	/* how often what is done with a checkpoint was committed */
bit		dispatched = 0;

#define has_accident	(accidents > 0)
#define holds(w)		(held[w] != 0 && held[w] == ev.id)
#define is_done			(processed && ev.id == 0)

inline copy(to, from)
{
	to.id = from.id;
	to.worker = from.worker;
	to.directive = from.directive;
	to.deliveries = from.deliveries;
	to.yielded_by = from.yielded_by;
	to.yielded = from.yielded;
	to.continuation = from.continuation;
	to.saved = from.saved;
	to.leased = from.leased;
	to.parked = from.parked
}

inline lock_step()
{
	atomic { st_lock == 0 -> st_lock = me }
}

/* in an atomic sequence, after ev_lock == 0 */
inline lock_event()
{
	ev_lock = me;
	copy(nw, ev)
}

inline unlock()
{
	if
	:: ev_lock == me -> ev_lock = 0
	:: else
	fi;
	if
	:: st_lock == me -> st_lock = 0
	:: else
	fi
}

inline rollback()
{
	atomic {
		copy_if_locked_clear();
		unlock()
	}
}

/* so that what was never committed makes no other state */
inline copy_if_locked_clear()
{
	if
	:: ev_lock == me ->
		nw.id = 0; nw.worker = 0; nw.directive = 0; nw.deliveries = 0; nw.yielded_by = 0;
		nw.yielded = 0; nw.continuation = 0; nw.saved = 0; nw.leased = 0; nw.parked = 0;
		fresh = 0
	:: else
	fi
}

/* in an atomic sequence */
inline commit()
{
	if
	:: ev_lock == me ->
		copy(ev, nw);
		ev.continuation = 0;
		unchanged[1] = 0; unchanged[2] = 0;
		copy_if_locked_clear()
	:: else
	fi;
	unlock();

	/* what is dispatched has an event, until the step is done */
	assert(!dispatched || processed || ev.id != 0);
	/* never two whose fence holds */
	assert(!(holds(1) && holds(2)))
}

#define is_known(i)	(ev.id == i || nw.id == i || ev.yielded_by == i || nw.yielded_by == i || \
					 held[1] == i || held[2] == i)

/* One that nobody knows: so the ids that nobody knows any more are used again */
inline new_id()
{
	fresh = 1;
	do
	:: is_known(fresh) -> fresh++
	:: else -> break
	od
}

proctype Worker(byte me)
{
	byte	pos = 0;
	byte	kind = SAVE;
	byte	told = 0;			/* the directive of the receipt */
	bit		with_rows = 0;		/* rows are written before the call */
	bit		again = 0;
	bit		stored = 0;			/* known only here: the call was committed */
	bit		seen = 0;
	bit		claimed = 0;

idle:
	atomic { held[me] = 0; pos = 0; kind = SAVE; told = 0; with_rows = 0; again = 0; stored = 0; seen = 0; claimed = 0 };
	if
	:: is_done -> goto end
	:: ev_lock == 0 && (may_claim(ev) || may_park(ev)) ->
#ifdef READ_FIRST
		pos = st_pos
#else
		skip
#endif
	fi;
	atomic {
		if
		:: ev_lock != 0 -> goto idle
#ifndef NO_RECHECK_CLAIM
		:: ev_lock == 0 && !(may_claim(ev) || may_park(ev)) -> goto idle
		:: ev_lock == 0 && (may_claim(ev) || may_park(ev)) -> lock_event()
#else
		:: ev_lock == 0 -> lock_event()
#endif
		fi
	};
	/* reads the step by a later snapshot than the lock's */
	atomic {
		if
		:: processed -> complete(nw)
		:: !processed && may_park(nw) -> park(nw)
		:: else ->
#ifndef READ_FIRST
			pos = st_pos;
#endif
			new_id();
			claim(nw, fresh, 1);
			claimed = 1
		fi
	};
	if
	:: atomic {
		claimed ->
			/* what is held back is not claimed, nor what is another's */
			assert(ev.directive == CONTINUE && !ev.parked && ev.id != 0);
			assert(!ev.leased);
			/* it begins where the last checkpoint is */
			assert(pos == st_pos);
			held[me] = nw.id;
			claimed = 0;
			commit();
			/* the reply is lost, or the worker: nobody knows the id */
			if
			:: goto work
			:: has_accident -> accidents--; goto idle
			fi
		}
	:: atomic { !claimed -> commit(); goto idle }
	:: atomic { has_accident -> accidents--; rollback(); goto idle }
	fi;

work:
	atomic {
		again = 0; stored = 0; told = 0; seen = 0; with_rows = 0; kind = SAVE;
		if
		:: pos < ITEMS -> kind = SAVE
		:: pos < ITEMS -> kind = YIELD
		:: pos == ITEMS -> goto finish
		:: ev.id == held[me] && !ev.leased && ev.worker -> goto beat
		:: has_accident -> accidents--; goto idle
		:: has_accident -> accidents--; goto give_back
		fi;
		if
		:: with_rows = 0
		:: with_rows = 1
		fi
	};

write:
	lock_step();
read:
	/* without a lock on the event: what it finds when it writes may be another */
	atomic {
		unchanged[me] = 1;
#ifndef OLD_DIRECTIVE
		told = ev.directive;
#endif
		if
		:: kind == YIELD && ev.yielded_by == held[me] && ev.yielded == pos + 1 -> goto replayed
		:: kind == SAVE && is_current(ev, held[me]) && ev.saved == pos + 1 -> goto replayed
		:: else
		fi;
		if
		:: is_current(ev, held[me]) && !processed
		:: else ->
			/* what was stored last, by a yield of this id, is a replay */
			assert(!(again && stored && kind == YIELD && ev.yielded_by == held[me]));
			unchanged[me] = 0;
			rollback();
			goto idle
		fi
	};
	/* waits for who has it */
	atomic {
		ev_lock == 0;
#ifndef NO_RECHECK_WRITE
		if
		:: !unchanged[me] -> goto read
		:: else
		fi;
#endif
		unchanged[me] = 0;
		lock_event();
		if
#ifdef NO_RECEIPT
		:: kind == SAVE -> save(nw, 0, 0)
		:: kind == YIELD -> new_id(); yield(nw, fresh, 0, 0, 0)
#else
		:: kind == SAVE -> save(nw, pos + 1, 0)
		:: kind == YIELD -> new_id(); yield(nw, fresh, held[me], pos + 1, 0)
#endif
		fi
	};
	if
	:: atomic {
			/* nobody is superseded who writes, */
			assert(ev.id == held[me]);
			/* what is stored is stored once, */
			assert(!stored);
			/* and the directive is the present one */
			assert(told == ev.directive);
			applied[pos + 1]++;
			assert(applied[pos + 1] == 1);
			st_pos = pos + 1;
			stored = 1;
			commit();
			goto reply
		}
	:: atomic { has_accident -> accidents--; rollback(); again = 1; goto write }
	fi;

replayed:
	/* the first attempt is stored: so this one's rows are there a second time */
	atomic {
		unchanged[me] = 0;
		assert(again && stored);
#ifndef NO_TC003
		if
		:: with_rows -> rollback(); goto load
		:: else
		fi;
#endif
		applied[pos + 1] = applied[pos + 1] + with_rows;
		assert(applied[pos + 1] <= 1);
		commit()
	};
reply:
	atomic {
		if
		:: goto load
		:: has_accident -> accidents--; again = 1; goto write
		:: has_accident -> accidents--; goto idle
		fi
	};
load:
	/* by the receipt, or by load(): it was stored */
	atomic {
		if
		:: kind == YIELD -> goto idle
		:: kind == SAVE && told != CONTINUE -> told = 0; pos++; goto give_back
		:: kind == SAVE && told == CONTINUE -> pos++; goto work
		fi
	};

beat:
	/* waits for nobody: locked, a save of its own extends the lease */
	atomic {
		if
		:: ev_lock == 0 && is_current(ev, held[me]) && may_heartbeat(ev) ->
			lock_event();
			heartbeat(nw);
			commit();
			goto work
		:: ev_lock != 0 -> goto work
		:: else -> goto idle
		fi
	};

give_back:
	seen = is_current(ev, held[me]);
	atomic {
		ev_lock == 0;
		if
#ifdef NO_RECHECK_EVENT
		:: seen ->
#else
		:: is_current(ev, held[me]) ->
#endif
			lock_event();
			new_id();
			release(nw, fresh, nw.deliveries, nw.parked);
			assert(ev.id == held[me])
		:: else -> goto idle
		fi
	};
	atomic { commit(); goto idle };

finish:
	/* processed, and complete, in one transaction; or neither */
	lock_step();
	seen = is_current(ev, held[me]);
	atomic {
		ev_lock == 0;
		if
#ifdef NO_RECHECK_EVENT
		:: seen ->
#else
		:: is_current(ev, held[me]) ->
#endif
			lock_event();
			complete(nw)
		:: else -> rollback(); goto idle
		fi
	};
	if
	:: atomic {
			assert(ev.id == held[me]);
			assert(st_pos == ITEMS);
			processed = 1;
			commit();
			goto idle
		}
	:: atomic { has_accident -> accidents--; rollback(); goto finish }
	fi;
end:
	skip
}

proctype Operator()
{
	byte	me = OPERATOR;
	byte	to = 0;

loop:
	do
	:: is_done -> break
	:: atomic { operations > 0 && !processed -> operations--; to = PAUSE; goto hold }
	:: atomic { operations > 0 && !processed -> operations--; to = CANCEL; goto hold }
	:: atomic { operations > 0 && !processed && st_pos > 0 -> operations--; goto back }
	:: may_resume(ev) -> goto lift
	od;
	goto end;
hold:
	/* no lock on the step: an operator may only see it */
	if
	:: may_direct(ev, to) -> skip
	:: else -> to = 0; goto loop
	fi;
	atomic {
		ev_lock == 0;
		if
		:: may_direct(ev, to) -> lock_event(); direct(nw, to)
		:: else -> to = 0; goto loop
		fi
	};
	atomic { to = 0; commit() };
	goto loop;
lift:
	atomic {
		ev_lock == 0;
		if
		:: may_resume(ev) -> lock_event(); resume(nw)
		:: else -> goto loop
		fi
	};
	atomic { commit() };
	goto loop;
back:
	lock_step();
	atomic {
		ev_lock == 0;
		if
		:: processed -> rollback(); goto loop
		:: else -> lock_event()
		fi;
		if
		:: may_supersede(nw) -> new_id(); supersede(nw, fresh)
		:: else
		fi
	};
	atomic {
		/* what comes after it is to be done again */
		applied[st_pos] = 0;
		st_pos--;
		commit()
	};
	goto loop;
end:
	skip
}

/* Leases end: some too early, and in the end those of whom nobody hears any more */
proctype Clock()
{
	do
	:: is_done -> break
	:: atomic { ev.leased && expiries > 0 -> expiries--; ev.leased = 0 }
	:: atomic { ev.leased && !holds(1) && !holds(2) -> ev.leased = 0 }
	od
}

init
{
	atomic {
		new_id();
		dispatch(ev, fresh);
		dispatched = 1;
		run Worker(1);
		run Worker(2);
		run Operator();
		run Clock()
	}
}

/* in each run in which nobody stands still for ever */
ltl done { <> is_done }
