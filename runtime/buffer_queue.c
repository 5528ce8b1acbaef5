/* buffer_queue.c: see buffer_queue.h. */
#include "buffer_queue.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

enum { N_BUFFERS = 4 };

struct buffer_queue {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned n_full;
    unsigned first; /* The buffer that is emptied next. */
    bool started;
    bool finished;
    bool abandoned;
    struct buffer buffer[N_BUFFERS];
};

struct buffer_queue *
buffer_queue_create(size_t size)
{
    struct buffer_queue *q = calloc(1, sizeof *q);
    unsigned i;

    if (!q)
        return NULL;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->changed, NULL);
    for (i = 0; i < N_BUFFERS; i++) {
        q->buffer[i].data = malloc(size);
        if (!q->buffer[i].data) {
            buffer_queue_destroy(q);
            return NULL;
        }
    }
    return q;
}

bool
buffer_queue_start(struct buffer_queue *q, void *(*work)(void *), void *aux)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    q->started = pthread_create(&q->thread, NULL, work, aux) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return q->started;
}

void
buffer_queue_destroy(struct buffer_queue *q)
{
    unsigned i;

    if (!q)
        return;
    if (q->started)
        pthread_join(q->thread, NULL);
    for (i = 0; i < N_BUFFERS; i++)
        free(q->buffer[i].data);
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

struct buffer *
buffer_queue_empty(struct buffer_queue *q)
{
    struct buffer *b = NULL;

    pthread_mutex_lock(&q->lock);
    while (q->n_full == N_BUFFERS && !q->abandoned)
        pthread_cond_wait(&q->changed, &q->lock);
    if (!q->abandoned)
        b = &q->buffer[(q->first + q->n_full) % N_BUFFERS];
    pthread_mutex_unlock(&q->lock);
    return b;
}

struct buffer *
buffer_queue_full(struct buffer_queue *q)
{
    struct buffer *b = NULL;

    pthread_mutex_lock(&q->lock);
    while (q->n_full == 0 && !q->finished)
        pthread_cond_wait(&q->changed, &q->lock);
    if (q->n_full)
        b = &q->buffer[q->first];
    pthread_mutex_unlock(&q->lock);
    return b;
}

void
buffer_queue_fill(struct buffer_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->n_full++;
    pthread_cond_signal(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

void
buffer_queue_release(struct buffer_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->first = (q->first + 1) % N_BUFFERS;
    q->n_full--;
    pthread_cond_signal(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

static void
set(struct buffer_queue *q, bool *flag)
{
    pthread_mutex_lock(&q->lock);
    *flag = true;
    pthread_cond_signal(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

void
buffer_queue_finish(struct buffer_queue *q)
{
    set(q, &q->finished);
}

void
buffer_queue_abandon(struct buffer_queue *q)
{
    set(q, &q->abandoned);
}
