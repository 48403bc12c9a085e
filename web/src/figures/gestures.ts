// What mouse and fingers do on a chart, as one attachment. All of it in sight: a drag selects a part to zoom to. Zoomed in: a
// drag moves along, as on a map; with Shift it still selects. Two fingers zoom. A wheel with Ctrl (a pinch on a trackpad
// comes as one) zooms, a sideways wheel moves along, all else scrolls the page.

import type { Range } from './lines';

export interface Chart {
  readonly isZoomed: boolean;
  readonly view: Range;
  /** How wide it is, in CSS pixels: what `left` is a part of. */
  readonly width: number;
  /** The value of x at a place. */
  at(left: number): number;
  /** Something is over a place, or nothing any more. */
  point(left: number | undefined): void;
  /** A place was clicked. */
  choose(left: number): void;
  /** A part is being selected; undefined: no more. */
  selecting(part: { from: number; to: number } | undefined): void;
  select(from: number, to: number): void;
  /** Move a view along by a share of its width. */
  pan(view: Range, share: number): void;
  /** Zoom a view by a factor around a value of x, then move it along. */
  zoom(view: Range, around: number, factor: number, share: number): void;
}

const CLICK_PX = 5;

interface Held {
  readonly from: number;
  now: number;
}

export function gestures(chart: () => Chart | undefined): (node: Element) => () => void {
  return (node) => {
    const held = new Map<number, Held>();
    let kind: 'none' | 'select' | 'pan' | 'pinch' = 'none';
    let view: Range = [0, 1];
    let around = 0;
    const leftOf = (event: MouseEvent): number => event.clientX - node.getBoundingClientRect().left;
    const spread = (which: 'from' | 'now'): number => {
      const [a, b] = [...held.values()];
      return a && b ? Math.max(12, Math.abs(a[which] - b[which])) : 1;
    };
    const middle = (which: 'from' | 'now'): number => [...held.values()].reduce((sum, one) => sum + one[which], 0) / Math.max(1, held.size);

    /** Begin again from where the fingers are: one was put down or lifted. */
    function restart(on: Chart): void {
      for (const [id, { now }] of held) held.set(id, { from: now, now });
      view = on.view;
      around = on.at(middle('now'));
    }

    function down(event: PointerEvent): void {
      const on = chart();
      if (!on || event.button !== 0 || held.size === 2) return;
      const isTouch = event.pointerType === 'touch';
      held.set(event.pointerId, { from: leftOf(event), now: leftOf(event) });
      if (!isTouch) node.setPointerCapture(event.pointerId);
      restart(on);
      if (held.size === 2) kind = 'pinch';
      else if (on.isZoomed && !event.shiftKey) kind = 'pan';
      else kind = isTouch ? 'none' : 'select'; // a finger on the whole chart reads its values
      on.point(held.size === 2 ? undefined : leftOf(event));
    }

    function move(event: PointerEvent): void {
      const on = chart();
      if (!on) return;
      const one = held.get(event.pointerId);
      if (one) one.now = leftOf(event);
      const isFar = one !== undefined && Math.abs(one.now - one.from) > CLICK_PX;
      if (kind === 'pinch') on.zoom(view, around, spread('from') / spread('now'), (middle('from') - middle('now')) / on.width);
      else if (kind === 'pan' && one && (isFar || isMoving)) {
        isMoving = true;
        on.pan(view, (one.from - one.now) / on.width);
      } else if (kind === 'select' && one) on.selecting({ from: one.from, to: one.now });
      if (kind !== 'pinch') on.point(leftOf(event));
    }
    let isMoving = false;

    function up(event: PointerEvent): void {
      const on = chart();
      const one = held.get(event.pointerId);
      if (!on || !one) return;
      held.delete(event.pointerId);
      const was = kind;
      const isFar = isMoving || Math.abs(one.now - one.from) > CLICK_PX;
      kind = held.size && on.isZoomed ? 'pan' : 'none';
      isMoving = held.size > 0;
      restart(on);
      on.selecting(undefined);
      if (event.type === 'pointercancel' || was === 'pinch') return;
      if (was === 'select' && isFar) on.select(Math.min(one.from, one.now), Math.max(one.from, one.now));
      else if (!isFar) on.choose(one.now);
      if (event.pointerType === 'touch') on.point(undefined);
    }

    function leave(): void {
      if (!held.size) chart()?.point(undefined);
    }

    function turn(event: WheelEvent): void {
      const on = chart();
      if (!on) return;
      const isAlong = on.isZoomed && Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (!event.ctrlKey && !isAlong) return;
      event.preventDefault();
      if (event.ctrlKey) on.zoom(on.view, on.at(leftOf(event)), Math.exp(event.deltaY / 120), 0);
      else on.pan(on.view, event.deltaX / on.width);
    }

    const heard = [['pointerdown', down], ['pointermove', move], ['pointerup', up], ['pointercancel', up], ['pointerleave', leave], ['wheel', turn]] as const;
    for (const [name, act] of heard) node.addEventListener(name, act as EventListener, { passive: false });
    return () => {
      for (const [name, act] of heard) node.removeEventListener(name, act as EventListener);
    };
  };
}
