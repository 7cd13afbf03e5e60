/*-------------------------------------------------------------------------
 *
 * replay.c
 *	  Whether a repeated request is answered by the receipt of the first.
 *
 * The event has the receipt; what has become of its checkpoint since is seen
 * in the step's row, which is locked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "dispatch/transaction.h"
#include "document/history.h"
#include "table/replay.h"
#include "tasker_checkpoint.h"

/* Whether a checkpoint, or an entry of a history, is the one of a receipt. */
static bool
is_of_receipt(const TckptReceipt *receipt, int64 sequence,
			  const TckptDocument *doc)
{
	TimestampTz at;

	return sequence == receipt->sequence &&
		tckpt_document_time(doc, &at) && at == receipt->checkpointed_at;
}

static void
raise_stored_before(const TckptRequest *request, const TckptReceipt *receipt)
{
	ereport(ERROR,
			(tckpt_refused(ERRCODE_TCKPT_STORED_BEFORE),
			 errmsg("checkpoint of step \"%s\" was stored before",
					tckpt_step_name(&request->step)),
			 errdetail("It has the sequence " INT64_FORMAT ". Before this call the transaction has written what the first one may have written, too.",
					   receipt->sequence),
			 errhint("Roll back, then call tasker_checkpoint_load(): a sequence above that of your last receipt says that the reply was lost, and the step goes on from there.")));
}

/*
 * Whether a repeated request is answered by the receipt.  If not, it is a new
 * checkpoint: one that was cleared since, or that others have written upon, is
 * not the step's any more.  Raises TC003 if the first attempt's rows would be
 * there twice.
 */
bool
tckpt_replay_is_answered(const TckptWrite *write, const TckptReceipt *receipt)
{
	const TckptRequest *request = write->own->request;
	bool		is_present = true;

	/* a yield has handed the step on: what others make of it is theirs */
	if (request->kind == TCKPT_SAVE)
	{
		TckptHistory history;
		TckptDocument entry;

		tckpt_history_read(&write->olddoc, &history);
		is_present = is_of_receipt(receipt, history.sequence, &write->olddoc);

		/* what is cut from the history may have been there */
		if (!is_present &&
			receipt->sequence > history.sequence - tckpt_history_length(&history) &&
			!(tckpt_history_entry(&history, receipt->sequence, &entry) &&
			  is_of_receipt(receipt, receipt->sequence, &entry)))
			return false;
	}

	if (request->has_written &&
		!(is_present && tckpt_transaction_accepted(request->event_id, receipt->sequence)))
		raise_stored_before(request, receipt);
	return is_present;
}
