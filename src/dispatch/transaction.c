/*-------------------------------------------------------------------------
 *
 * transaction.c
 *	  What this transaction has done before a call of ours.
 *
 * A checkpoint that is repeated, since the reply to it was lost, comes with the
 * rows of its transaction again.  So a call must know whether its transaction
 * has written anything but by our functions, and whether the receipt that it
 * finds was given earlier or by this same transaction.
 *
 * Every command that can write moves the command counter on, whether or not it
 * finds anything to write.  Each function of ours that writes begins with
 * tckpt_begin_write() and ends with tckpt_end_write(); what the counter has
 * moved in between two of them was done by others.  So was a transaction id that
 * has appeared there, as with a logical message, which is no command that writes.
 *
 * All is forgotten when the transaction ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "dispatch/front.h"
#include "dispatch/transaction.h"
#include "tasker_checkpoint.h"

/* A checkpoint that this transaction has written under an event */
typedef struct Accepted
{
	SubTransactionId subid;
	pg_uuid_t	event_id;
	int64		sequence;
} Accepted;

static struct
{
	bool		called;			/* a function of ours was, "mark" is set */
	CommandId	mark;			/* the counter when the last one ended */
	bool		has_xid;		/* there was a transaction id then */
	bool		has_written;	/* others have */
	bool		has_warned;
}			state;

/* In TopTransactionContext, in the order of writing, so of growing subid */
static Accepted *accepted = NULL;
static size_t naccepted = 0;
static size_t maxaccepted = 0;

static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		tckpt_front_forget();
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			memset(&state, 0, sizeof(state));
			accepted = NULL;
			naccepted = 0;
			maxaccepted = 0;
			break;
		default:
			break;
	}
}

/* A checkpoint that is rolled back is not there any more. */
static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid,
				 SubTransactionId parentSubid, void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	tckpt_front_forget();
	while (naccepted > 0 && accepted[naccepted - 1].subid >= mySubid)
		naccepted--;
}

void
tckpt_transaction_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

static void
set_mark(void)
{
	state.mark = GetCurrentCommandId(false);
	state.has_xid = TransactionIdIsValid(GetTopTransactionIdIfAny());
}

/*
 * A function of ours begins that writes.  Raises 25006 where nothing can be
 * written.  Returns whether the transaction has written, other than by our
 * functions.
 */
bool
tckpt_begin_write(const char *function)
{
	PreventCommandIfReadOnly(function);

	/* so that what the statement around us has written counts */
	CommandCounterIncrement();
	if (GetCurrentCommandId(false) != (state.called ? state.mark : FirstCommandId) ||
		(!state.has_xid && TransactionIdIsValid(GetTopTransactionIdIfAny())))
		state.has_written = true;
	state.called = true;
	set_mark();
	return state.has_written;
}

/* It ends; not called where it raises. */
void
tckpt_end_write(void)
{
	CommandCounterIncrement();
	set_mark();
}

/* A new checkpoint was accepted under an event. */
void
tckpt_transaction_accept(const pg_uuid_t *event_id, int64 sequence)
{
	if (naccepted == maxaccepted)
	{
		size_t		size = Max(maxaccepted * 2, 8);

		if (accepted == NULL)
			accepted = MemoryContextAlloc(TopTransactionContext,
										  size * sizeof(Accepted));
		else
			accepted = repalloc_huge(accepted, size * sizeof(Accepted));
		maxaccepted = size;
	}
	accepted[naccepted].subid = GetCurrentSubTransactionId();
	accepted[naccepted].event_id = *event_id;
	accepted[naccepted].sequence = sequence;
	naccepted++;
}

/* Whether that was in this transaction. */
bool
tckpt_transaction_accepted(const pg_uuid_t *event_id, int64 sequence)
{
	for (size_t i = naccepted; i > 0; i--)
		if (accepted[i - 1].sequence == sequence &&
			tckpt_same_uuid(&accepted[i - 1].event_id, event_id))
			return true;
	return false;
}

/* True once a transaction, for a warning that is not to be repeated. */
bool
tckpt_transaction_first_warning(void)
{
	bool		first = !state.has_warned;

	state.has_warned = true;
	return first;
}
