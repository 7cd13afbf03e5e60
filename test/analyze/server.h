/*-------------------------------------------------------------------------
 *
 * server.h
 *	  What cppcheck has to know of the server, whose headers it does not read.
 *
 *-------------------------------------------------------------------------
 */
#define WARNING	19
#define ERROR	21
#define ereport(level, ...)	do { if ((level) >= ERROR) abort(); } while (0)
#define elog(level, ...)	do { if ((level) >= ERROR) abort(); } while (0)
#define Assert(condition)	((void) 0)
