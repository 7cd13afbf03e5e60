/*-------------------------------------------------------------------------
 *
 * log.c
 *	  Events: a line each, the same as in the extension's other clients.
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

static const struct
{
	const char *name;
	TcwLevel	level;
}			kinds[] = {
	[TCW_EVENT_CLAIMED] = {"claimed", TCW_INFO},
	[TCW_EVENT_RESUMED] = {"resumed", TCW_INFO},
	[TCW_EVENT_SAVED] = {"saved", TCW_DEBUG},
	[TCW_EVENT_YIELDED] = {"yielded", TCW_INFO},
	[TCW_EVENT_COMPLETED] = {"completed", TCW_INFO},
	[TCW_EVENT_INTERRUPTED] = {"interrupted", TCW_INFO},
	[TCW_EVENT_RELEASED] = {"released", TCW_WARNING},
	[TCW_EVENT_FAILED] = {"failed", TCW_ERROR},
	[TCW_EVENT_SUPERSEDED] = {"superseded", TCW_INFO},
	[TCW_EVENT_ABANDONED] = {"abandoned", TCW_INFO},
	[TCW_EVENT_CONNECTED] = {"connected", TCW_DEBUG},
	[TCW_EVENT_COULD_NOT_CONNECT] = {"could not connect", TCW_WARNING},
	[TCW_EVENT_CONNECTION_LOST] = {"connection lost", TCW_WARNING},
	[TCW_EVENT_POLLING] = {"polling", TCW_WARNING},
	[TCW_EVENT_STOPPING] = {"stopping", TCW_INFO},
};

/* A line that is being put together; what is too long is cut. */
typedef struct Line
{
	char text[	1024];
	size_t		length;
} Line;

static void
append(Line *line, const char *format,...)
{
	size_t		room = sizeof(line->text) - line->length;
	int			length;
	va_list		args;

	va_start(args, format);
	length = vsnprintf(line->text +line->length, room, format, args);
	va_end(args);
	if (length > 0)
		line->length += (size_t) length < room ? (size_t) length : room - 1;
}

static void
append_text(Line *line, const char *key, const char *value)
{
	if (value != NULL)
		append(line, " %s=%s", key, value);
}

static void
append_number(Line *line, const char *key, int64_t value)
{
	if (value >= 0)
		append(line, " %s=%lld", key, (long long) value);
}

static void
append_seconds(Line *line, const char *key, double value)
{
	if (value >= 0)
		append(line, " %s=%.3f", key, value);
}

static void
write_line(const TcwEvent *event, Line *line)
{
	append(line, "%s", event->name);
	append_text(line, "step", event->step);
	append_text(line, "queue", event->queue);
	append_text(line, "worker", event->worker);
	append_number(line, "deliveries", event->deliveries);
	append_number(line, "sequence", event->sequence);
	append_number(line, "items", event->items);
	append_seconds(line, "seconds", event->seconds);
	append_seconds(line, "delay", event->delay);
	append_text(line, "directive", event->directive);
	if (event->error != NULL)
	{
		const TcwError *error = event->error;

		append(line, " error=%s: %.*s",
			   error->sqlstate[0] != '\0' ? error->sqlstate : tcw_status_name(error->status),
			   (int) strcspn(error->message, "\n"), error->message);
	}
	for (char *c = line->text; *c != '\0'; c++)
		if ((unsigned char) *c < ' ')
			*c = ' ';
}

/* An event of which nothing is known yet. */
TcwEvent
tcw_event(const TcwWorker *worker, TcwEventKind kind)
{
	TcwEvent	event = {
		.kind = kind,
		.level = kinds[kind].level,
		.name = kinds[kind].name,
		.worker = worker->name,
		.deliveries = -1,
		.sequence = -1,
		.items = -1,
		.seconds = -1,
		.delay = -1
	};

	return event;
}

void
tcw_tell(const TcwWorker *worker, const TcwEvent *event)
{
	static const char *const levels[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
	const TcwWorkerOptions *options = &worker->options;

	if (options->log != NULL || event->level > TCW_DEBUG)
	{
		Line		line = {.length = 0};

		write_line(event, &line);
		if (options->log != NULL)
			options->log(options->data, event->level, line.text);
		else
			fprintf(stderr, "%s: %s\n", levels[event->level], line.text);
	}
	if (options->observe != NULL)
		options->observe(options->data, event);
}

void
tcw_tell_of_worker(TcwWorker *worker, TcwEventKind kind, const TcwError *error)
{
	TcwEvent	event = tcw_event(worker, kind);

	event.error = error;
	tcw_tell(worker, &event);
}
