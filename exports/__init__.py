"""FILES that people download: tables as data, written as workbooks or text by a process of their own."""
