// How the open trace differs from another one, or from itself before the edits: asked once, again while it is computed.

import { get, type Wire } from '../../api/client';
import { plain, type Moved } from './api';
import type { OverviewModel } from './OverviewModel';
import { rowOfAddress } from './OverviewModel';
import { state } from './state';

const AGAIN_MS = 700;
const MOST = 20_000;

/** How far a tensor differs. */
export interface Difference {
  /** The largest change of a number in it. */
  readonly largest: number;
  /** The same beside the largest number it was made from; at most 1 for the heat, infinite where everything was 0. */
  readonly relative: number;
  /** It cannot be compared: its shape is another one there. */
  readonly isReshaped?: boolean;
}

const RESHAPED: Difference = { largest: NaN, relative: Infinity, isReshaped: true };

export class CompareData {
  now = $state.raw<Wire<'TraceDiff'>>();
  error = $state('');
  readonly differences: ReadonlyMap<string, Difference> = $derived(new Map([...(this.now?.moved ?? []).map((one) => [one.address, differenceOf(one)] as const), ...(this.now?.reshaped ?? []).map((address) => [address, RESHAPED] as const)]));
  private query = $derived(state.other ? JSON.stringify(question()) : '');

  constructor() {
    $effect(() => {
      const asked = this.query;
      this.now = undefined;
      this.error = '';
      if (asked) void this.follow(asked);
    });
  }

  private async follow(asked: string): Promise<void> {
    try {
      for (;;) {
        const answer = await get<Wire<'TraceDiff'>>('/microscope/diff', { ...(JSON.parse(asked) as Record<string, string>), order: 'program', limit: MOST });
        if (asked !== this.query) return;
        this.now = answer;
        this.error = answer.state === 'failed' ? answer.reason : '';
        if (answer.state !== 'running') return;
        await new Promise((later) => setTimeout(later, AGAIN_MS));
        if (asked !== this.query) return;
      }
    } catch (error) {
      if (asked === this.query) this.error = error instanceof Error ? error.message : String(error);
    }
  }
}

/** The first trace is the one before, the second the one after: for edits the recorded one comes first. */
function question(): Record<string, string> {
  const edits = state.edits.length ? JSON.stringify(state.edits) : '';
  if (state.other === state.trace) return { trace: state.trace, other: state.trace, ...(edits && { other_edits: edits }) };
  return { trace: state.trace, ...(edits && { edits }), other: state.other };
}

export function differenceOf(one: Moved): Difference {
  const largest = Math.abs(plain(one.largest) ?? 0);
  const scale = Math.abs(plain(one.scale) ?? 0);
  return { largest, relative: Number.isNaN(largest) ? Infinity : scale > 0 ? largest / scale : Infinity };
}

/** Return the largest relative difference inside each module and group: what closed boxes show. */
export function differencesInside(model: OverviewModel, differences: ReadonlyMap<string, Difference>): ReadonlyMap<string, Difference> {
  const found = new Map<string, Difference>();
  for (const [address, one] of differences) {
    const row = rowOfAddress(model, address);
    if (row === undefined) continue;
    for (const id of model.around.get(row) ?? []) {
      const known = found.get(id);
      if (!known || known.relative < one.relative) found.set(id, one);
    }
  }
  return found;
}
