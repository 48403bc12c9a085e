// How far checking the open trace is: asked once, then again while it runs.

import { get, post, type Wire } from '../../api/client';
import { about } from './state';

const AGAIN_MS = 700;

export class VerifyData {
  now = $state.raw<Wire<'Verification'>>();
  error = $state('');
  private asked = $derived(JSON.stringify(about()));

  constructor() {
    $effect(() => {
      const asked = this.asked;
      this.now = undefined;
      void this.follow(asked, () => get<Wire<'Verification'>>('/microscope/verify', JSON.parse(asked) as ReturnType<typeof about>));
    });
  }

  /** Start it. */
  start(): void {
    const asked = this.asked;
    void this.follow(asked, () => post<Wire<'Verification'>>('/microscope/verify', undefined, JSON.parse(asked) as ReturnType<typeof about>));
  }

  private async follow(asked: string, ask: () => Promise<Wire<'Verification'>>): Promise<void> {
    try {
      const answer = await ask();
      if (asked !== this.asked) return; // another trace was opened meanwhile
      this.now = answer;
      this.error = answer.state === 'failed' ? answer.reason : '';
      if (answer.state !== 'running') return;
      await new Promise((later) => setTimeout(later, AGAIN_MS));
      if (asked === this.asked) await this.follow(asked, () => get<Wire<'Verification'>>('/microscope/verify', JSON.parse(asked) as ReturnType<typeof about>));
    } catch (error) {
      if (asked === this.asked) this.error = error instanceof Error ? error.message : String(error);
    }
  }
}
