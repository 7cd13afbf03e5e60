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

/* Types that begin at a multiple of four */
#define TCKPT_IS_ALIGNED_TYPE(type) \
	((type) == JENTRY_ISNUMERIC || (type) == JENTRY_ISCONTAINER)

extern TckptValue tckpt_value_at(const char *data, uint32 offset, uint32 end,
								 JEntry entry);
extern TckptValue tckpt_value_null(void);
extern TckptValue tckpt_value_of_jsonb(const Jsonb *jb);
extern TckptValue tckpt_value_of_int64(int64 value);
extern TckptValue tckpt_value_of_timestamp(TimestampTz value);
extern Jsonb *tckpt_value_to_jsonb(const TckptValue *value);
extern bool tckpt_value_to_timestamp(const TckptValue *value,
									 TimestampTz *result);
extern bool tckpt_value_to_count(const TckptValue *value, int64 *result);
extern bool tckpt_value_is_null(const TckptValue *value);
extern bool tckpt_value_is_array(const TckptValue *value);
extern bool tckpt_value_equal(const TckptValue *a, const TckptValue *b);
extern Size tckpt_value_size(const TckptValue *value);

#endif							/* TCKPT_VALUE_H */
