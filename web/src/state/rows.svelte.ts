// A run's metrics in the page: all rows there were, and each new one as it comes. No row is ever missing: what the news
// skip is asked for again (live.svelte.ts).
//
//   const run = followRun('stdlib-1', ['loss', 'validation_loss']);
//   run.column('loss')            a number for each row, NaN where it was not measured; reactive
//   run.close()

import { arrays, type Wire } from '../api/client';
import { watchRun, type Row, type RunNews } from './live.svelte';

export class FollowedRun {
  /** Rows known. */
  rows = $state(0);
  /** The last news: status, samples, checkpoints, steps to make. */
  news = $state.raw<RunNews>();
  error = $state('');
  private columns: Record<string, number[]> = {};
  private isAsking = false;
  private asksAgain = false;
  private era = 0;
  private readonly stop: () => void;

  constructor(
    readonly name: string,
    private readonly names: readonly string[],
  ) {
    for (const column of names) this.columns[column] = [];
    this.stop = watchRun(name, (news) => this.hear(news));
  }

  /** A number for each row. */
  column(name: string): Float64Array {
    void this.rows;
    return Float64Array.from(this.columns[name] ?? []);
  }

  close(): void {
    this.era += 1;
    this.stop();
  }

  private hear(news: RunNews): void {
    this.news = news;
    if (news.status === 'gone') return;
    if (news.restarted) {
      for (const column of Object.values(this.columns)) column.length = Math.min(column.length, news.from);
      this.era += 1;
      this.rows = Math.min(this.rows, news.from);
    }
    if (this.isAsking) this.asksAgain = true;
    else if (news.from > this.rows) void this.ask();
    else for (const row of news.rows.slice(this.rows - news.from)) this.add(row);
  }

  private add(row: Row): void {
    for (const name of this.names) {
      const value = row[name];
      this.columns[name]?.push(typeof value === 'number' ? value : NaN);
    }
    this.rows += 1;
  }

  private async ask(): Promise<void> {
    this.isAsking = true;
    try {
      do {
        this.asksAgain = false;
        const { era, rows: from } = this;
        const answer = await arrays<Wire<'MetricsMeta'>>(`/runs/${encodeURIComponent(this.name)}/metrics`, { from, only: this.names.join(',') });
        if (era !== this.era) continue;
        const added = answer.meta.rows - from;
        for (const name of this.names) {
          const found = answer.arrays[name]?.data;
          for (let i = 0; i < added; i += 1) this.columns[name]?.push(found?.[i] ?? NaN);
        }
        this.rows = from + Math.max(0, added);
        this.error = '';
      } while (this.asksAgain);
    } catch (error) {
      this.error = error instanceof Error ? error.message : String(error);
    } finally {
      this.isAsking = false;
    }
  }
}

export function followRun(name: string, columns: readonly string[]): FollowedRun {
  return new FollowedRun(name, columns);
}
