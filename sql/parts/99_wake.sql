-- The launcher looks once a minute whether there is something to serve; here it is.
SELECT custbackup.wake();
