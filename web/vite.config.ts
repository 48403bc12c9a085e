import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// Two pages: the lab, and the one for visitors who only ask. The built app goes into the Python package, which serves it. `npm run dev` asks a lab that runs on the usual port.
export default defineConfig({
  plugins: [svelte()],
  build: { outDir: '../src/cutaway/server/app_files', emptyOutDir: true, target: 'es2022', assetsInlineLimit: 0, rollupOptions: { input: ['index.html', 'chat.html'] } },
  server: { proxy: { '/api': 'http://127.0.0.1:8765' } },
});
