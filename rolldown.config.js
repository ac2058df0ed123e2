import { defineConfig } from 'rolldown'

/**
 * The command in a few files instead of over a hundred, whose loading is half of what a short command
 * takes. Packages stay outside; the library is what the compiler makes.
 */
export default defineConfig({
  input: 'dist/cli/main.js',
  platform: 'node',
  external: /^[^./]/,
  output: { dir: 'dist/bundle', chunkFileNames: '[name].js' },
})
