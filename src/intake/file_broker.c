/*
 * SPDX-License-Identifier: ISC
 *
 * A request is one byte that names the file; an answer is the error (0: none) as an int, with the descriptor beside it.
 * What must stay true: nothing that the responder sends becomes a path or a flag.
 */
#include <config.h>

#include "intake/file_broker.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ASK_SECRETS = 's', ASK_LOG = 'l' };

/* Room for one descriptor beside a message, aligned as the kernel wants it. */
union descriptor_room {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

/* ---- the responder's side ---- */

static struct {
    int fd;
    const struct conf *conf;
} broker_client = {.fd = -1};

/* Returns the descriptor that came with MESSAGE; -1 when there is none. */
static int take_descriptor(struct msghdr *message)
{
    const struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd = -1;

    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

static int ask_for_file(int fd, char which)
{
    int error = 0, opened;
    struct iovec part = {&error, sizeof error};
    union descriptor_room room;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = room.bytes, .msg_controllen = sizeof room.bytes};

    if (send(fd, &which, 1, MSG_NOSIGNAL) != 1 || recvmsg(fd, &message, MSG_CMSG_CLOEXEC) != sizeof error) {
        errno = EIO; /* the monitor is gone, or does not answer in time */
        return -1;
    }
    opened = take_descriptor(&message);
    if (opened < 0)
        errno = error;
    return opened;
}

static int open_by_broker(const char *path, int flags, mode_t mode)
{
    (void)flags; /* the monitor knows how each of the two is opened */
    (void)mode;
    if (strcmp(path, broker_client.conf->url_secrets) == 0)
        return ask_for_file(broker_client.fd, ASK_SECRETS);
    if (strcmp(path, broker_client.conf->log) == 0)
        return ask_for_file(broker_client.fd, ASK_LOG);
    errno = EACCES;
    return -1;
}

void file_broker_use(int fd, const struct conf *conf)
{
    const struct timeval limit = {.tv_sec = 2};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    broker_client.fd = fd;
    broker_client.conf = conf;
    io_set_opener(open_by_broker);
}

/* ---- the monitor's side ---- */

static int open_file(const struct conf *conf, char which)
{
    if (which == ASK_SECRETS)
        return open(conf->url_secrets, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (which == ASK_LOG && *conf->log == '/')
        return open(conf->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    errno = EINVAL;
    return -1;
}

static void send_descriptor(int to, int opened, int error)
{
    struct iovec part = {&error, sizeof error};
    union descriptor_room room = {.bytes = {0}};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (opened >= 0) {
        message.msg_control = room.bytes;
        message.msg_controllen = sizeof room.bytes;
        room.header.cmsg_level = SOL_SOCKET;
        room.header.cmsg_type = SCM_RIGHTS;
        room.header.cmsg_len = CMSG_LEN(sizeof opened);
        memcpy(CMSG_DATA(&room.header), &opened, sizeof opened);
    }
    (void)!sendmsg(to, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void file_broker_answer(int fd, const struct conf *conf)
{
    char which;
    int opened;

    if (recv(fd, &which, 1, MSG_DONTWAIT) != 1)
        return;
    opened = open_file(conf, which);
    send_descriptor(fd, opened, opened < 0 ? errno : 0);
    if (opened >= 0)
        close(opened);
}
