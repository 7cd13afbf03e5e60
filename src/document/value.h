/*-------------------------------------------------------------------------
 *
 * value.h
 *	  A JSON value where it lies in a jsonb.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_VALUE_H
#define TCKPT_VALUE_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

/*
 * A JSON value where it lies in some jsonb, without the padding before it.
 * "data" is NULL where there is no value at all.
 */
typedef struct TckptValue
{
	JEntry		type;			/* JENTRY_IS..., no other bits */
	uint32		len;
	const char *data;
} TckptValue;

/*
 * What the header of a number says, without reading it through its text.
 * Digits are to the base of 10000, and none where the number is zero.
 */
typedef struct TckptNumber
{
	bool		special;		/* NaN or infinite, which no jsonb should hold */
	bool		negative;
	int			weight;			/* of the first digit, a power of 10000 */
	int			scale;			/* decimals that are written, zeros included */
	int			ndigits;
	const int16 *digits;		/* the first and the last are not zero */
} TckptNumber;

/*
 * Whether a number has the short header: no more than 256 digits before the
 * point and 63 after it.  Nearly all have.
 */
#define TCKPT_NUMBER_IS_SHORT(data) \
	((*(const uint16 *) VARDATA(data) & 0xC000) == 0x8000)

/* Types that begin at a multiple of four */
#define TCKPT_IS_ALIGNED_TYPE(type) \
	((type) == JENTRY_ISNUMERIC || (type) == JENTRY_ISCONTAINER)

static inline TckptValue
tckpt_value_of(JEntry type, uint32 len, const void *data)
{
	TckptValue	value;

	value.type = type;
	value.len = len;
	value.data = data;
	return value;
}

extern TckptValue tckpt_value_at(const char *data, uint32 offset, uint32 end,
								 JEntry entry);
extern TckptValue tckpt_value_null(void);
extern TckptValue tckpt_value_of_jsonb(const Jsonb *jb);
extern TckptValue tckpt_value_of_int64(int64 value);
extern TckptValue tckpt_value_of_timestamp(TimestampTz value);
extern Jsonb *tckpt_value_to_jsonb(const TckptValue *value);
extern bool tckpt_value_to_timestamp(const TckptValue *value,
									 TimestampTz *result);
extern bool tckpt_value_to_printed_timestamp(const TckptValue *value,
											 TimestampTz *result);
extern bool tckpt_value_to_number(const TckptValue *value,
								  TckptNumber *number);
extern bool tckpt_value_to_count(const TckptValue *value, int64 *result);
extern bool tckpt_value_to_capped_count(const TckptValue *value,
										int64 greatest, int64 *result);
extern bool tckpt_value_is_null(const TckptValue *value);
extern bool tckpt_value_is_array(const TckptValue *value);
extern bool tckpt_value_equal(const TckptValue *a, const TckptValue *b);
extern Size tckpt_value_size(const TckptValue *value);

#endif							/* TCKPT_VALUE_H */
