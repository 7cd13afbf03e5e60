/* One instance, however it is loaded, so that its errors are the same classes. */
export * from "./index.js";
