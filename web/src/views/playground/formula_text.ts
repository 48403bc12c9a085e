// Formulas as the lab writes them (small Python terms), turned into TeX and into lines people read.

import { short } from '../../lib/numbers';

const SYMBOLS: Record<string, string> = {
  gradient: 'g', rate: '\\eta', update: '\\Delta w', before: 'w', new_value: 'w^{\\text{new}}', m_before: 'm', v_before: 'v',
  velocity_before: 'u', velocity: "u'", m_hat: '\\hat m', v_hat: '\\hat v', beta: '\\beta', eps: '\\epsilon', momentum: '\\mu',
  penalty: '\\lambda', loss: 'L', tanh: '\\tanh', sigmoid: '\\sigma', relu: '\\operatorname{relu}', softplus: '\\operatorname{softplus}',
  exp: '\\exp', sqrt: '\\sqrt', if: '\\text{ if }', else: '\\text{ else }',
}; // prettier-ignore
const NUMBER = /\(?-?\d+(?:\.\d+)?(?:e[-+]?\d+)?\)?/g;

/** Return the TeX of a formula's symbols. Where a step makes a new m, v or u from an old one, the new one has a dash. */
export function tex(symbols: string, kind = ''): string {
  const mean = 'mean over the batch of ';
  if (symbols.startsWith(mean)) return `\\frac{1}{B}\\sum_{b}\\, ${tex(symbols.slice(mean.length))}`;
  const isNewMoment = (name: string) => (name === 'm' || name === 'v') && ['m_hat', 'v_hat'].includes(kind);
  return symbols
    .replace(/sqrt\(([^()]*)\)/g, 'sqrt{$1}')
    .replace(/(?<![\w/])(\w+)\*\1(?![\w/])/g, '$1**2')
    .replace(/\*\*(\w+)/g, '^{$1}')
    .replace(/(dL\/dz|dL\/da|da\/dz)(\d*)(?:\[\d+\])?|([a-z]+(?:_[a-z]+)*)(\d*)(?:\[(\d+)\])?/g, (_, slope: string | undefined, slopeIndex: string, name: string, index: string, point: string | undefined) => {
      if (slope) {
        const [above, below] = slope.split('/') as [string, string];
        return `\\frac{\\partial ${above.slice(1)}}{\\partial ${below.slice(1)}${slopeIndex ? `_{${slopeIndex}}` : ''}}`;
      }
      const symbol = (SYMBOLS[name] ?? name) + (isNewMoment(name) ? "'" : '');
      return name === 'loss' && point ? `L_{${point}}` : index ? `${symbol}_{${index}}` : `${symbol} `;
    })
    .replace(/==/g, '=')
    .replace(/\*/g, '\\,');
}

const NAMES: Record<string, string> = {
  z: 'z', a: 'a', 'da/dz': '\\frac{\\partial a}{\\partial z}', 'dL/da': '\\frac{\\partial L}{\\partial a}', 'dL/dz': '\\frac{\\partial L}{\\partial z}',
  loss: 'L', gradient: '\\frac{\\partial L}{\\partial w}', m: "m'", v: "v'", velocity: "u'", m_hat: '\\hat m', v_hat: '\\hat v',
  update: '\\Delta w', new_value: 'w^{\\text{new}}',
}; // prettier-ignore

export function nameTex(kind: string): string {
  return NAMES[kind] ?? `\\text{${kind}}`;
}

/** Return a formula's numbers as people read them: fewer digits unless all are wanted, the signs of multiplication. */
export function readable(numbers: string, allDigits = false): string {
  const shortened = allDigits ? numbers : numbers.replace(NUMBER, (found) => {
    const bare = found.replace(/[()]/g, '');
    const text = short(Number(bare), 4);
    return found.startsWith('(') && found.endsWith(')') ? `(${text})` : found.replace(bare, text);
  }); // prettier-ignore
  return shortened.replace(/\*\*/g, '^').replace(/\*/g, ' · ').replace(/(\d|\))\/(\d|\()/g, '$1 / $2').replace(/ {2,}/g, ' ');
}

/** Return the names of a table's rows in words. */
export const TABLE_WORDS: Record<string, string> = {
  before: 'weight', gradient: 'gradient', m_before: 'm before', v_before: 'v before', m: 'm', v: 'v', m_hat: 'm corrected', v_hat: 'v corrected',
  velocity_before: 'velocity before', velocity: 'velocity', update: 'update', new_value: 'new weight',
}; // prettier-ignore
