/*
 * mailbox.c - posting to the peers' thread, and its taking.
 *
 * The transport is woken inside the lock: it cannot be closed meanwhile, as mailbox_use(NULL) takes
 * the lock before that.
 */
#include "cache/peer/mailbox.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/thread.h"

static void mail_init(struct peers_mail *mail)
{
	STAILQ_INIT(&mail->fetches);
	STAILQ_INIT(&mail->stages);
	STAILQ_INIT(&mail->notices);
	TAILQ_INIT(&mail->inquiries);
	mail->reload = false;
}

void mailbox_init(struct peers_mailbox *mailbox)
{
	*mailbox = (struct peers_mailbox){ 0 };
	pthread_mutex_init(&mailbox->lock, NULL);
	thread_cond_init(&mailbox->posted);
	mail_init(&mailbox->mail);
}

void mailbox_fini(struct peers_mailbox *mailbox)
{
	struct peers_notice *notice;

	CHECK(STAILQ_EMPTY(&mailbox->mail.fetches) && STAILQ_EMPTY(&mailbox->mail.stages) &&
	      TAILQ_EMPTY(&mailbox->mail.inquiries));
	while ((notice = STAILQ_FIRST(&mailbox->mail.notices))) {
		STAILQ_REMOVE_HEAD(&mailbox->mail.notices, link);
		free(notice);
	}
	pthread_cond_destroy(&mailbox->posted);
	pthread_mutex_destroy(&mailbox->lock);
}

static void post_end(struct peers_mailbox *mailbox)
{
	if (!mailbox->has_mail) {
		mailbox->has_mail = true;
		if (mailbox->transport)
			transport_wake(mailbox->transport);
		else
			pthread_cond_signal(&mailbox->posted);
	}
	pthread_mutex_unlock(&mailbox->lock);
}

void mailbox_post_fetch(struct peers_mailbox *mailbox, struct peer_fetch *fetch)
{
	pthread_mutex_lock(&mailbox->lock);
	STAILQ_INSERT_TAIL(&mailbox->mail.fetches, fetch, p.link);
	post_end(mailbox);
}

void mailbox_post_stage(struct peers_mailbox *mailbox, struct cache_stage *stage)
{
	pthread_mutex_lock(&mailbox->lock);
	STAILQ_INSERT_TAIL(&mailbox->mail.stages, stage, link);
	post_end(mailbox);
}

void mailbox_post_notice(struct peers_mailbox *mailbox, struct peers_notice *notice)
{
	pthread_mutex_lock(&mailbox->lock);
	STAILQ_INSERT_TAIL(&mailbox->mail.notices, notice, link);
	post_end(mailbox);
}

void mailbox_post_inquiry(struct peers_mailbox *mailbox, struct peers_inquiry *inquiry)
{
	pthread_mutex_lock(&mailbox->lock);
	TAILQ_INSERT_TAIL(&mailbox->mail.inquiries, inquiry, p.link);
	post_end(mailbox);
}

void mailbox_post_config(struct peers_mailbox *mailbox, const struct peers_config *config)
{
	pthread_mutex_lock(&mailbox->lock);
	mailbox->mail.config = *config;
	mailbox->mail.reload = true;
	post_end(mailbox);
}

void mailbox_post_wish(struct peers_mailbox *mailbox, enum peers_wish wish)
{
	pthread_mutex_lock(&mailbox->lock);
	mailbox->mail.wish = wish;
	post_end(mailbox);
}

void mailbox_poke(struct peers_mailbox *mailbox)
{
	pthread_mutex_lock(&mailbox->lock);
	post_end(mailbox);
}

void mailbox_use(struct peers_mailbox *mailbox, struct transport *transport)
{
	pthread_mutex_lock(&mailbox->lock);
	mailbox->transport = transport;
	pthread_mutex_unlock(&mailbox->lock);
}

void mailbox_take(struct peers_mailbox *mailbox, struct peers_mail *out_mail)
{
	struct peers_mail *mail = &mailbox->mail;

	mail_init(out_mail);
	pthread_mutex_lock(&mailbox->lock);
	if (mailbox->has_mail) {
		STAILQ_CONCAT(&out_mail->fetches, &mail->fetches);
		STAILQ_CONCAT(&out_mail->stages, &mail->stages);
		STAILQ_CONCAT(&out_mail->notices, &mail->notices);
		TAILQ_CONCAT(&out_mail->inquiries, &mail->inquiries, p.link);
		out_mail->reload = mail->reload;
		if (mail->reload)
			out_mail->config = mail->config;
		mail->reload = false;
		mailbox->has_mail = false;
	}
	out_mail->wish = mail->wish;
	pthread_mutex_unlock(&mailbox->lock);
}

enum peers_wish mailbox_wish(struct peers_mailbox *mailbox)
{
	enum peers_wish wish;

	pthread_mutex_lock(&mailbox->lock);
	wish = mailbox->mail.wish;
	pthread_mutex_unlock(&mailbox->lock);
	return wish;
}

void mailbox_wait(struct peers_mailbox *mailbox)
{
	pthread_mutex_lock(&mailbox->lock);
	while (!mailbox->has_mail && mailbox->mail.wish != PEERS_END)
		pthread_cond_wait(&mailbox->posted, &mailbox->lock);
	pthread_mutex_unlock(&mailbox->lock);
}
