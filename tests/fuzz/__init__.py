"""Fuzzer: damaged and odd files of every format, read in processes with limits; ``make fuzz`` runs it.

Outcomes that are allowed:

=========  ======================================================================================
right      same values as from the undamaged file
refused    the error that the reader documents
noted      other values, and a note that the undamaged file does not have
changed    other values; allowed only where nothing in the file can tell (a digit or pixel of a file
           without checksum is another file)
=========  ======================================================================================

Failures: ``wrong`` (other values without a note although the checksums of the file are all there, or the
damage has no meaning, such as bytes after the end), ``exception`` (any other), ``death`` and ``hang`` of the
process, ``growth`` (of its memory over 512 MiB).
"""
