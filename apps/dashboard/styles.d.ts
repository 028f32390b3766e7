/** Imported for the build alone. */
declare module '*.css';
