// What the lab says of every layer and position (the logit lens), ready for the grid, the bars and the charts.

import { named, type Arrays } from '../../api/arrays';
import { arrays, type Wire } from '../../api/client';
import type { GridCell } from '../../figures/layer_grid';
import { full, short } from '../../lib/numbers';
import { percent, quoted } from './lens';

export const SHOWN = ['token', 'probability', 'rank', 'kl', 'entropy', 'next'] as const;
export type Shown = (typeof SHOWN)[number];
export const TITLES: Record<Shown, string> = {
  token: 'Top token',
  probability: 'Probability of the answer',
  rank: 'Rank of the answer',
  kl: 'KL to the output',
  entropy: 'Entropy',
  next: 'What really follows',
};
export const ABOUT: Record<Shown, string> = {
  token: 'The token this layer would put first. The stronger the shade, the more probable it thinks it is.',
  probability: 'How probable this layer finds the token that the whole model puts first there.',
  rank: 'Which place this layer gives to the token that the whole model puts first there; 1 is the first.',
  kl: 'How far this layer’s probabilities are from the model’s own, in nats (Kullback-Leibler divergence); 0 at the output.',
  entropy: 'How undecided this layer is, in nats: 0 where it is sure of one token. The stronger the shade, the surer.',
  next: 'How probable this layer finds the token that really follows in the text.',
};

export interface Candidate {
  readonly text: string;
  readonly probability: number;
}

export class LayersData {
  readonly layers: number;
  readonly positions: number;
  private readonly size: number;
  private readonly numbers: Record<'top' | 'chance' | 'probability' | 'rank' | 'kl' | 'entropy' | 'next', ArrayLike<number>>;
  private readonly vocabulary: number;

  constructor(readonly answer: Arrays<Wire<'Layers'>>) {
    const { meta } = answer;
    this.layers = meta.rows.length;
    this.positions = meta.tokens.length;
    this.size = meta.most;
    this.vocabulary = meta.vocabulary;
    const data = (name: string): ArrayLike<number> => named(answer, name).data;
    this.numbers = {
      top: data('top'),
      chance: data('chance'),
      probability: data('probability'),
      rank: data('rank'),
      kl: data('kl'),
      entropy: data('entropy'),
      next: data('next'),
    };
  }

  get meta(): Wire<'Layers'> {
    return this.answer.meta;
  }

  /** How wide a cell must be, in pixels. */
  width(shown: Shown, hasNumbers: boolean): number {
    const longest = Math.max(...this.meta.tokens.map((text) => text.length), ...(shown === 'token' ? this.meta.texts.map((text) => text.length) : [0]));
    return Math.min(84, Math.max(shown === 'token' && !hasNumbers ? 40 : 60, 14 + 7.5 * longest));
  }

  /** The tokens this layer finds most probable at a position, the first first. */
  candidates(layer: number, position: number): Candidate[] {
    const start = (layer * this.positions + position) * this.size;
    return Array.from({ length: this.size }, (_, i) => ({
      text: this.meta.texts[this.numbers.top[start + i] as number] ?? '',
      probability: this.numbers.chance[start + i] as number,
    }));
  }

  value(shown: Exclude<Shown, 'token'>, layer: number, position: number): number {
    return this.numbers[shown][layer * this.positions + position] as number;
  }

  /** One measure of a position over all layers. */
  over(shown: Exclude<Shown, 'token'>, position: number): Float64Array {
    return Float64Array.from({ length: this.layers }, (_, layer) => this.value(shown, layer, position));
  }

  cell(shown: Shown, layer: number, position: number, hasNumbers: boolean): GridCell {
    const first = this.candidates(layer, position)[0] ?? { text: '', probability: NaN };
    const answer = this.meta.answers[position] ?? '';
    const where = `${this.meta.rows[layer]?.label}, position ${position} ${quoted(this.meta.tokens[position] ?? '')}`;
    const said = `${where}: ${quoted(first.text)} first, with ${percent(first.probability)}. The model’s answer ${quoted(answer)}: ${percent(this.value('probability', layer, position))}, rank ${this.value('rank', layer, position)}; KL ${short(this.value('kl', layer, position))}, entropy ${short(this.value('entropy', layer, position))} nats`;
    const isAnswer = first.text === answer;
    if (shown === 'token') {
      const cell = { text: quoted(first.text).slice(1, -1), share: first.probability, said, isMarked: isAnswer };
      return hasNumbers ? { ...cell, under: percent(first.probability) } : cell;
    }
    const value = this.value(shown, layer, position);
    if (shown === 'next') {
      const next = this.meta.tokens[position + 1];
      return { text: next === undefined ? '·' : percent(value).replace(' %', '%'), share: value, said: next === undefined ? `${where}: nothing follows` : `${said}. What follows, ${quoted(next)}: ${percent(value)}` };
    }
    return { text: shown === 'probability' ? percent(value).replace(' %', '%') : short(value, 3), share: this.share(shown, value), said };
  }

  private share(shown: Exclude<Shown, 'token' | 'next'>, value: number): number {
    if (Number.isNaN(value)) return NaN;
    if (shown === 'probability') return value;
    if (shown === 'rank') return 1 - Math.log(value) / Math.log(this.vocabulary);
    if (shown === 'entropy') return 1 - value / Math.log(this.vocabulary);
    return 1 - Math.min(1, value / 10);
  }

  /** All digits of a cell, for its panel. */
  facts(layer: number, position: number): { name: string; value: string }[] {
    return [
      { name: 'Probability of the answer', value: full(this.value('probability', layer, position)) },
      { name: 'Rank of the answer', value: full(this.value('rank', layer, position)) },
      { name: 'KL to the output (nats)', value: full(this.value('kl', layer, position)) },
      { name: 'Entropy (nats)', value: full(this.value('entropy', layer, position)) },
    ];
  }
}

export async function askLayers(question: { model: string; prompt: string }, signal: AbortSignal): Promise<LayersData> {
  return new LayersData(await arrays<Wire<'Layers'>>('/lens/layers', undefined, question, signal));
}
