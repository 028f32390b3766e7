/** Imported for the build only. */
declare module '*.css';
