# tasker_checkpoint: checkpoints of batch workflow steps, kept by the backend

EXTENSION = tasker_checkpoint
MODULE_big = tasker_checkpoint
PGFILEDESC = "tasker_checkpoint - checkpoints of batch workflow steps"

OBJS = \
	$(WIN32RES) \
	src/api/attach.o \
	src/api/call.o \
	src/api/claim.o \
	src/api/control.o \
	src/api/create_table.o \
	src/api/doctor.o \
	src/api/history.o \
	src/api/interval.o \
	src/api/maintenance.o \
	src/api/offer.o \
	src/api/read.o \
	src/api/registrations.o \
	src/api/sample.o \
	src/api/shown.o \
	src/api/survey.o \
	src/api/version.o \
	src/api/wait.o \
	src/api/write.o \
	src/archive/archive.o \
	src/archive/chunk.o \
	src/archive/trail.o \
	src/counters.o \
	src/dispatch/claimable.o \
	src/dispatch/due.o \
	src/dispatch/event.o \
	src/dispatch/event_row.o \
	src/dispatch/events.o \
	src/dispatch/front.o \
	src/dispatch/lanes.o \
	src/dispatch/protocol.o \
	src/dispatch/transaction.o \
	src/document/build.o \
	src/document/compress.o \
	src/document/document.o \
	src/document/figures.o \
	src/document/history.o \
	src/document/readable.o \
	src/document/value.o \
	src/errors.o \
	src/guc.o \
	src/init.o \
	src/invalidation.o \
	src/result.o \
	src/rows/relation.o \
	src/rows/write.o \
	src/table/attached.o \
	src/table/candidates.o \
	src/table/compose.o \
	src/table/cursor_index.o \
	src/table/forget.o \
	src/table/generated.o \
	src/table/guard.o \
	src/table/holders.o \
	src/table/key.o \
	src/table/reader.o \
	src/table/registration.o \
	src/table/replay.o \
	src/table/rules.o \
	src/table/stale.o \
	src/table/statement.o \
	src/table/steps.o \
	src/table/survey.o \
	src/table/survey_sql.o \
	src/table/swapped.o \
	src/table/unguarded.o \
	src/wakeup/notifier.o \
	src/wakeup/notify.o \
	src/wakeup/pending.o \
	src/wakeup/ring.o \
	src/wakeup/segment.o \
	src/wakeup/sleep.o \
	src/wakeup/waiting.o

# Where the sources are, in the way PGXS finds it: a build can be in another folder,
# and writes nothing outside of that. What the compilers write has the path: a
# relative one, so that it is the same wherever all of this is (where realpath knows how).
ifdef VPATH
SRCDIR := $(shell realpath --relative-to=. '$(VPATH)' 2>/dev/null || echo '$(VPATH)')
else
SRCDIR := $(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST))))
endif

# The control file is the one source of the version.
EXTVERSION := $(shell sed -n "s/^default_version = '\(.*\)'$$/\1/p" $(SRCDIR)/$(EXTENSION).control)
PG_CPPFLAGS = -I$(SRCDIR)/src -DTCKPT_VERSION='"$(EXTVERSION)"'
PG_CFLAGS = -fdebug-prefix-map='$(CURDIR)'=.

# The install script is put together of its parts, a topic a file, in the order
# of their numbers.
SCRIPT = $(EXTENSION)--$(EXTVERSION).sql
DATA_built = $(SCRIPT)

# Scripts of released versions, and those that lead from one to the next; that of the
# present one is put together all the same
DATA = $(filter-out %/$(SCRIPT), $(patsubst $(SRCDIR)/%,%,$(wildcard $(SRCDIR)/src/sql/upgrade/*.sql)))
EXTRA_CLEAN = $(SCRIPT) $(EXTENSION)-$(EXTVERSION).zip

# PGXS puts --dbname into REGRESS_OPTS only while nobody else sets it.
REGRESS = $(patsubst $(SRCDIR)/sql/%.sql,%,$(wildcard $(SRCDIR)/sql/*.sql))
REGRESS_OPTS = --dbname=contrib_regression --use-existing
REGRESS_PREP = databases

# Results are in output_iso/.
ISOLATION = $(patsubst $(SRCDIR)/test/isolation/specs/%.spec,%,$(wildcard $(SRCDIR)/test/isolation/specs/*.spec))
ISOLATION_OPTS = --dbname=isolation_regression --use-existing --inputdir=$(SRCDIR)/test/isolation

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Sources alone are looked for in their folder: what was built there is of another
# build.
srcdir := $(SRCDIR)
override VPATH :=
vpath %.c $(SRCDIR)
vpath %.control $(SRCDIR)

FOLDERS = $(patsubst %/,%,$(sort $(dir $(OBJS))))

$(OBJS) $(OBJS:.o=.bc): $(wildcard $(SRCDIR)/src/*.h $(SRCDIR)/src/*/*.h) $(EXTENSION).control | $(FOLDERS)

$(FOLDERS):
	mkdir -p $@

$(SCRIPT): $(sort $(wildcard $(SRCDIR)/src/sql/*.sql))
	awk 'FNR == 1 && NR > 1 { print "" } 1' $^ >$@

# What the tests take for granted of a database
.PHONY: databases
databases:
	'$(bindir)/psql' -X -f $(SRCDIR)/test/databases.sql postgres

# The archive for PGXN, of the commit as it stands: less than the repository, by
# .gitattributes, and the same bytes whenever and wherever it is made.
ARCHIVE = $(EXTENSION)-$(EXTVERSION)

.PHONY: dist
dist:
	TZ=UTC git -C '$(SRCDIR)' archive --format=zip -9 --prefix=$(ARCHIVE)/ -o '$(CURDIR)/$(ARCHIVE).zip' HEAD
