// A job begun here and followed to its end: `state` for buttons, `problem` for people, and what to do when it is done.

import { live } from '../../state/live.svelte';
import { said } from './api';
import type { Job } from './ChangeState';

export class FollowedJob {
  #started = $state.raw<Job>();
  #problem = $state('');
  #done = $state(-1);
  readonly job = $derived(this.#started && (live.jobs.find((one) => one.id === this.#started?.id) ?? this.#started));
  readonly isBusy = $derived(this.job !== undefined && (this.job.state === 'queued' || this.job.state === 'running'));
  readonly problem = $derived(this.#problem || (this.job?.state === 'failed' ? this.job.reason || 'The job failed.' : this.job?.state === 'stopped' ? 'The job was stopped.' : ''));

  constructor(whenDone: () => void) {
    $effect(() => {
      if (this.job?.state !== 'done' || this.#done === this.job.id) return;
      this.#done = this.job.id;
      whenDone();
    });
  }

  async begin(submit: () => Promise<Job>): Promise<void> {
    this.#problem = '';
    try {
      this.#started = await submit();
    } catch (error) {
      this.#started = undefined;
      this.#problem = said(error);
    }
  }
}
