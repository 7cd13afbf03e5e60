# tasker_checkpoint: checkpoints of batch workflow steps, kept by the backend

EXTENSION = tasker_checkpoint
MODULE_big = tasker_checkpoint
PGFILEDESC = "tasker_checkpoint - checkpoints of batch workflow steps"

OBJS = \
	$(WIN32RES) \
	src/archive.o \
	src/attach.o \
	src/attached.o \
	src/claim.o \
	src/control.o \
	src/cursor_index.o \
	src/dispatch.o \
	src/document.o \
	src/events.o \
	src/findings.o \
	src/guard.o \
	src/guc.o \
	src/health.o \
	src/history.o \
	src/holders.o \
	src/init.o \
	src/maintenance.o \
	src/notifier.o \
	src/notify.o \
	src/own.o \
	src/progress.o \
	src/read.o \
	src/readable.o \
	src/reader.o \
	src/sample.o \
	src/registration.o \
	src/rules.o \
	src/stats.o \
	src/steps.o \
	src/steps_progress.o \
	src/survey.o \
	src/transaction.o \
	src/unguarded.o \
	src/value.o \
	src/version.o \
	src/wakeup.o \
	src/yield.o

# Where the sources are, in the way PGXS finds it: a build can be in another folder,
# and writes nothing outside of that.
ifdef VPATH
SRCDIR := $(VPATH)
else
SRCDIR := $(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST))))
endif

# The control file is the one source of the version.
EXTVERSION := $(shell sed -n "s/^default_version = '\(.*\)'$$/\1/p" $(SRCDIR)/$(EXTENSION).control)
PG_CPPFLAGS = -DTCKPT_VERSION='"$(EXTVERSION)"'

# The install script is put together of its parts, a topic a file, in the order
# of their numbers.
SCRIPT = $(EXTENSION)--$(EXTVERSION).sql
DATA_built = $(SCRIPT)
EXTRA_CLEAN = $(SCRIPT)

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
