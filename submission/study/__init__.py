"""The quantisation study: networks trained with each surrogate, coded as codecs, and what their bytes say."""
