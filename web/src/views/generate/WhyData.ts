// A logit as a sum over the parts of the model, as the lab gives it, ready for the waterfall.

import { named, type Arrays } from '../../api/arrays';
import { arrays, type Wire } from '../../api/client';
import type { SumGroup, SumTerm } from '../../figures/waterfall';

export interface WhyQuestion {
  readonly model: string;
  readonly prompt: string;
  readonly position: number;
  readonly token: string;
  readonly rather: string;
}

type Term = Wire<'WhyTerm'>;

export class WhyData {
  readonly groups: readonly SumGroup[];
  private readonly terms: ReadonlyMap<string, Term>;

  constructor(private readonly answer: Arrays<Wire<'Why'>>) {
    const { meta } = answer;
    this.terms = new Map(meta.terms.map((term) => [term.name, term]));
    const groups = new Map<string, { key: string; name: string; terms: SumTerm[] }>();
    for (const term of meta.terms) {
      const { key, name } = groupOf(term);
      const group = groups.get(key) ?? { key, name, terms: [] };
      groups.set(key, group);
      group.terms.push({ key: term.name, name: termTitle(term), value: term.value, canOpen: term.kind === 'head' || term.kind === 'mlp' });
    }
    this.groups = [...groups.values()];
  }

  get meta(): Wire<'Why'> {
    return this.answer.meta;
  }

  term(name: string): Term | undefined {
    return this.terms.get(name);
  }

  /** What a head moved, by the position it moved it from. */
  sources(layer: number, head: number): Float64Array {
    const { shape, data } = named(this.answer, 'sources');
    const [, heads = 0, positions = 0] = shape;
    const start = (layer * heads + head) * positions;
    return Float64Array.from(data.subarray(start, start + positions));
  }
}

/** What a term is called on the screen. */
export function termTitle({ kind, name, layer }: Term): string {
  if (kind === 'embedding') return `${name} embedding`;
  if (kind === 'head') return `head ${name}`;
  if (kind === 'bias' && layer !== null) return name.startsWith('attn') ? 'attention bias' : 'MLP bias';
  return kind === 'mlp' ? 'MLP' : name;
}

function groupOf({ kind, name, layer }: Term): { key: string; name: string } {
  if (layer !== null) return { key: `block ${layer}`, name: `Block ${layer}` };
  return kind === 'embedding' || name.startsWith('embedding') ? { key: 'embeddings', name: 'Embeddings' } : { key: 'output', name: 'Output' };
}

export async function askWhy(question: WhyQuestion, signal: AbortSignal): Promise<WhyData> {
  return new WhyData(await arrays<Wire<'Why'>>('/lens/why', undefined, question, signal));
}
