// Tokens as one sees them: blanks, line ends and characters without a shape have marks, single bytes are written as such.

import type { Wire } from '../../api/client';

export type Piece = Wire<'TextPieces'>['pieces'][number];
const MARKS: Readonly<Record<string, string>> = { ' ': '·', '\n': '↵', '\t': '⇥', '\r': '␍' };
const SHAPELESS = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Zs}\u034F\u115F\u1160\u3164\uFE00-\uFE0F]/u;

/** Return a character so that it can be seen: a mark, or its number where it has no shape. */
export function shown(text: string): string {
  return [...text].map((one) => MARKS[one] ?? (SHAPELESS.test(one) ? `⟨${codePoint(one)}⟩` : one)).join('');
}
export function codePoint(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}
/** Return bytes in hexadecimal, two digits each: `c3 a9`. */
export function spaced(hex: string): string {
  return hex.replace(/(..)(?=.)/g, '$1 ');
}
/** Return what stands on a token: its name, its text, or its bytes where they are no whole character. */
export function face(piece: Piece): string {
  const special = /^<\|(.+)\|>$/.exec(piece.text)?.[1];
  if (piece.is_special) return `‹${special ?? piece.text.replace(/^<(.+)>$/, '$1')}›`;
  if (piece.text.includes('\ufffd') && piece.bytes !== 'efbfbd') return `⟨${spaced(piece.bytes).toUpperCase()}⟩`;
  return shown(piece.text);
}
/** Return a sentence about a token. */
export function about(piece: Piece, i: number): string {
  const what = piece.is_special ? 'special token' : 'token';
  const id = piece.is_unknown ? (piece.id === null ? 'unknown, no id' : `unknown, id ${piece.id} stands for it`) : `id ${piece.id ?? ''}`;
  return `${what} ${i}, “${face(piece)}”, ${id}${piece.bytes ? `, bytes ${spaced(piece.bytes)}` : ', no bytes'}`;
}
