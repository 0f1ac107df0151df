/* Preloaded into a server: the process is killed when it is about to make a call of the system that changes a file
 * below DIE_UNDER, of the kind DIE_BEFORE and with DIE_ON in its path, for the DIE_AT-th time. The call, and the path that
 * it is on, are written to DIE_LOG first. strace could do the same, and slows a server with many threads by a factor of
 * ten.
 *
 * The clock of such a server is ahead by SHIFT_CLOCK seconds, which may be negative. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static atomic_long seen;

static void die_before(const char *kind, const char *call, const char *path) {
    const char *under = getenv("DIE_UNDER"), *before = getenv("DIE_BEFORE"), *at = getenv("DIE_AT");
    const char *on = getenv("DIE_ON");
    if (!under || !before || !at || !on) return;
    if (strcmp(kind, before) || strncmp(path, under, strlen(under)) || !strstr(path + strlen(under), on)) return;
    if (atomic_fetch_add(&seen, 1) + 1 != atol(at)) return;
    int (*open_real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    int log = open_real(getenv("DIE_LOG"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dprintf(log, "%s %s", call, path);
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static void die_before_on(const char *kind, const char *call, int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return;
    path[length] = 0;
    die_before(kind, call, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define ON_FD(result, name, kind, parameters, ...)      \
    result name parameters {                            \
        static __typeof__(&name) real;                  \
        if (!real) real = REAL(name);                   \
        die_before_on(kind, #name, fd);                 \
        return real(__VA_ARGS__);                       \
    }
#define ON_PATH(name, kind, parameters, ...)            \
    int name parameters {                               \
        static __typeof__(&name) real;                  \
        if (!real) real = REAL(name);                   \
        die_before(kind, #name, path);                  \
        return real(__VA_ARGS__);                       \
    }

ON_FD(int, fsync, "sync", (int fd), fd)
ON_FD(int, fdatasync, "sync", (int fd), fd)
ON_FD(ssize_t, write, "write", (int fd, const void *bytes, size_t count), fd, bytes, count)
ON_FD(ssize_t, pwrite, "write", (int fd, const void *bytes, size_t count, off_t at), fd, bytes, count, at)
ON_FD(ssize_t, pwrite64, "write", (int fd, const void *bytes, size_t count, off64_t at), fd, bytes, count, at)
ON_FD(ssize_t, writev, "write", (int fd, const struct iovec *pieces, int count), fd, pieces, count)
ON_FD(int, ftruncate, "make", (int fd, off_t length), fd, length)
ON_FD(int, ftruncate64, "make", (int fd, off64_t length), fd, length)
ON_PATH(rename, "rename", (const char *path, const char *to), path, to)
ON_PATH(unlink, "remove", (const char *path), path)
ON_PATH(mkdir, "make", (const char *path, mode_t mode), path, mode)

#define OPEN(name)                                      \
    int name(const char *path, int flags, ...) {        \
        static int (*real)(const char *, int, ...);     \
        if (!real) real = dlsym(RTLD_NEXT, #name);      \
        va_list more;                                   \
        va_start(more, flags);                          \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more);                                   \
        if (flags & O_CREAT) die_before("make", #name, path); \
        return real(path, flags, mode);                 \
    }
OPEN(open)
OPEN(open64)

/* Files that are removed in a folder of files that is removed. */
int unlinkat(int folder, const char *name, int flags) {
    static __typeof__(&unlinkat) real;
    if (!real) real = REAL(unlinkat);
    if (folder == AT_FDCWD) die_before("remove", "unlinkat", name);
    else die_before_on("remove", "unlinkat", folder);
    return real(folder, name, flags);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static __typeof__(&clock_gettime) real;
    if (!real) real = REAL(clock_gettime);
    int result = real(clock, time);
    const char *shift = getenv("SHIFT_CLOCK");
    if (shift && clock == CLOCK_REALTIME) time->tv_sec += atol(shift);
    return result;
}
