/*-------------------------------------------------------------------------
 *
 * lanes.c
 *	  Which queues, and which priorities in them, the index of what can be
 *	  claimed has.
 *
 * Each is found by a look behind the one before, which takes the first entry that
 * is there, also one whose row nobody sees any more: so it costs the same however
 * many of these an old snapshot keeps.  What is read is the entry itself.  The row
 * that it leads to may be of a version from before the index was made, which is in
 * another queue, and a look behind that one would go back, or too far ahead.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/itup.h"
#include "access/relscan.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"

#include "dispatch/event_row.h"
#include "dispatch/lanes.h"

/* The columns of the index */
#define INDEX_QUEUE		1
#define INDEX_PRIORITY	2

/*
 * Reads the first entry that has these keys; false if there is none.  One is passed
 * over that nobody could have made but by hand.
 */
static bool
read_first(Relation rel, Relation index, int nkeys, ScanKey keys, char *queue,
		   int *priority)
{
	SysScanDesc scan = systable_beginscan_ordered(rel, index, SnapshotAny, nkeys, keys);
	IndexScanDesc entries = scan->iscan;
	bool		found = false;

	/* begun anew, now that the entries are wanted and not the rows */
	entries->xs_want_itup = true;
	index_rescan(entries, NULL, nkeys, NULL, 0);
	while (!found && index_getnext_tid(entries, ForwardScanDirection) != NULL)
	{
		bool		no_queue;
		bool		no_priority;
		Datum		value = index_getattr(entries->xs_itup, INDEX_QUEUE,
										  entries->xs_itupdesc, &no_queue);
		Datum		number = index_getattr(entries->xs_itup, INDEX_PRIORITY,
										   entries->xs_itupdesc, &no_priority);
		text	   *name;

		CHECK_FOR_INTERRUPTS();
		if (no_queue || no_priority)
			continue;
		name = DatumGetTextPP(value);

		/* an empty name would lead back to the beginning */
		if (VARSIZE_ANY_EXHDR(name) == 0 || VARSIZE_ANY_EXHDR(name) >= NAMEDATALEN)
			continue;
		text_to_cstring_buffer(name, queue, NAMEDATALEN);
		*priority = DatumGetInt16(number);
		found = true;
	}
	systable_endscan_ordered(scan);
	return found;
}

/*
 * Goes on to the next lower priority of a queue, or to the highest of the next
 * queue; where "priority" is NULL, to the next queue.  The queue is empty at first,
 * and has room for NAMEDATALEN bytes.  False at the end.
 */
bool
tckpt_next_lane(Relation rel, Relation index, char *queue, int *priority)
{
	ScanKeyData keys[2];
	Datum		name = CStringGetTextDatum(queue);
	int			highest;

	if (queue[0] == '\0')
		return read_first(rel, index, 0, NULL, queue, priority != NULL ? priority : &highest);

	if (priority != NULL)
	{
		ScanKeyInit(&keys[0], TCKPT_EVENT_ATTNO(TCKPT_EVENT_QUEUE),
					BTEqualStrategyNumber, F_TEXTEQ, name);
		ScanKeyInit(&keys[1], TCKPT_EVENT_ATTNO(TCKPT_EVENT_PRIORITY),
					BTLessStrategyNumber, F_INT2LT, Int16GetDatum(*priority));
		if (read_first(rel, index, 2, keys, queue, priority))
			return true;
	}
	ScanKeyInit(&keys[0], TCKPT_EVENT_ATTNO(TCKPT_EVENT_QUEUE),
				BTGreaterStrategyNumber, F_TEXT_GT, name);
	return read_first(rel, index, 1, keys, queue, priority != NULL ? priority : &highest);
}
