// A figure in a notebook: what anywidget calls (`render`) in Jupyter, marimo, VS Code and Colab.

import './frame.css';
import '../lib/theme.css';
import { mount, unmount } from 'svelte';
import Frame from './Frame.svelte';
import { asking, type Model } from './model';
import { follow } from './theme.svelte';

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const target = document.createElement('div');
  target.className = 'cutaway-figure';
  // the notebook's own keys (a new cell, run, delete) are not meant while somebody uses the figure
  target.dataset['lmSuppressShortcuts'] = 'true';
  target.addEventListener('keydown', (event) => event.stopPropagation());
  el.append(target);
  const unfollow = follow(target);
  const { ask, stop } = asking(model);
  const frame = mount(Frame, { target, props: { model, ask } });
  return () => {
    stop();
    unfollow();
    void unmount(frame);
    target.remove();
  };
}

export default { render };
