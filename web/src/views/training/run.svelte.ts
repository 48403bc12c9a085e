// One run as the page knows it: its facts, its metrics as they grow, and why it is not there if it is not.

import { arrays, get, LabError } from '../../api/client';
import { watchRun, type RunNews } from '../../state/live.svelte';
import { Columns } from './columns';
import type { MetricsMeta, RunDetails } from './wire';

export class OpenRun {
  /** Not reactive by itself: `version` changes with it. */
  readonly columns = new Columns();
  version = $state(0);
  details = $state.raw<RunDetails>();
  error = $state.raw<LabError>();
  isLoaded = $state(false);
  /** How many samples and checkpoints there are: what shows them asks again when they change. */
  samples = $state(0);
  checkpoints = $state(0);
  status = $state('');
  totalSteps = $state<number | null>(null);

  private work: Promise<unknown> = Promise.resolve();
  private isClosed = false;
  private stopWatching: (() => void) | undefined;

  constructor(
    readonly name: string,
    private readonly only = '',
  ) {
    this.queue(async () => {
      await Promise.all([this.look(), this.catchUp()]);
      if (this.error || this.isClosed) return;
      this.isLoaded = true;
      if (!this.isClosed) this.stopWatching = watchRun(this.name, (news) => this.queue(() => this.hear(news)));
    });
  }

  close(): void {
    this.isClosed = true;
    this.stopWatching?.();
  }

  /** Ask for the facts again. */
  async look(): Promise<void> {
    try {
      const details = await get<RunDetails>(`/runs/${encodeURIComponent(this.name)}`);
      this.details = details;
      this.status = details.facts.status;
      this.totalSteps = details.facts.total_steps;
      this.error = undefined;
    } catch (error) {
      this.error = error instanceof LabError ? error : new LabError(String(error), 0);
    }
  }

  private queue(work: () => Promise<void>): void {
    this.work = this.work.then(work).catch((error: unknown) => {
      if (!this.isClosed) this.error = error instanceof LabError ? error : new LabError(String(error), 0);
    });
  }

  private async catchUp(): Promise<void> {
    const query = { from: this.columns.rows, ...(this.only ? { only: this.only } : {}) };
    const answer = await arrays<MetricsMeta>(`/runs/${encodeURIComponent(this.name)}/metrics`, query);
    const found = Object.entries(answer.arrays).map(([name, { data }]) => [name, data] as const);
    this.columns.addColumns(Object.fromEntries(found));
    this.version += 1;
  }

  private async hear(news: RunNews): Promise<void> {
    if (this.isClosed) return;
    const { columns } = this;
    if (news.restarted) columns.cut(news.from);
    if (news.from > columns.rows) await this.catchUp();
    const fresh = news.rows.slice(Math.max(0, columns.rows - news.from));
    for (const row of fresh) columns.add(row);
    if (fresh.length || news.restarted) this.version += 1;
    const hasChanged = news.status !== this.status || news.checkpoints !== this.checkpoints || news.samples !== this.samples;
    this.samples = news.samples;
    this.checkpoints = news.checkpoints;
    this.status = news.status;
    this.totalSteps = news.totalSteps ?? this.totalSteps;
    if (hasChanged) await this.look();
  }
}
